// SPDX-License-Identifier: Apache-2.0
// [scale_channels] and [sam]: products, then an activation.
#include "kernels/channels.cuh"

#include "layer_kernels.hpp"

namespace dn::cuda {

std::unique_ptr<Kernel> make_scale_channels(const Context& context) {
    const auto& params = context.node.as<ScaleChannelsParams>();
    if (!has_one_type(context) || !is_pointwise(params.activation)) return make_by_reference(context);
    return make_launch(context, "scale_channels", kernel::scale_channels, static_cast<long long>(context.dst.size()),
                       ScaleChannelsArgs{view_of(context.src[0]),
                                         view_of(context.src[1]),
                                         {context.kept.argument, context.dst.shape.c},
                                         view_of(context.dst),
                                         context.batch,
                                         pixels_of_image(context.dst),
                                         context.dst.shape.c,
                                         static_cast<int>(params.activation),
                                         params.scale_wh,
                                         false});
}

std::unique_ptr<Kernel> make_sam(const Context& context) {
    const Activation activation = context.node.as<SamParams>().activation;
    if (!has_one_type(context) || !is_pointwise(activation)) return make_by_reference(context);
    const long long pixels = pixels_of(context.dst);
    return make_launch(context, "sam", kernel::multiply, pixels * context.dst.shape.c,
                       MultiplyArgs{view_of(context.src[0]),
                                    view_of(context.src[1]),
                                    {context.kept.argument, context.dst.shape.c},
                                    view_of(context.dst),
                                    pixels,
                                    context.dst.shape.c,
                                    static_cast<int>(activation),
                                    false});
}

}  // namespace dn::cuda
