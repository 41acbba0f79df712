// SPDX-License-Identifier: Apache-2.0
// [activation]: y = f(x).
#include "kernels/activations.cuh"

#include "layer_kernels.hpp"

namespace dn::cuda {

std::unique_ptr<Kernel> make_activation(const Context& context) {
    if (!has_one_type(context)) return make_by_reference(context);
    const Activation activation = context.node.as<ActivationParams>().activation;
    const View src = view_of(context.src[0]), dst = view_of(context.dst);
    const long long pixels = pixels_of(context.dst);
    const int channels = context.dst.shape.c, code = static_cast<int>(activation);
    if (!is_pointwise(activation))
        return make_launch(context, "activation", kernel::normalize_channels, pixels,
                           NormalizeChannelsArgs{src, dst, pixels, channels, code});
    return make_launch(context, "activation", kernel::activate, pixels * channels,
                       ActivateArgs{src, dst, {}, nullptr, pixels, channels, code, 0});
}

}  // namespace dn::cuda
