// SPDX-License-Identifier: Apache-2.0
// [batchnorm] in inference: by the rolling statistics.
#include <cmath>

#include "kernels/batch_norm.cuh"
#include "layer_kernels.hpp"

namespace dn::cuda {

std::unique_ptr<Kernel> make_batchnorm(const Context& context) {
    if (!has_one_type(context)) return make_by_reference(context);
    const NodeParameters& values = *context.params;
    Floats inverse;
    for (const float variance : values.variances)
        inverse.push_back(static_cast<float>(1 / std::sqrt(variance + kBatchNormEpsilon)));
    const Normalization by{parameter(context, 0, values.means), parameter(context, 1, inverse),
                           parameter(context, 2, values.scales), parameter(context, 3, values.biases)};
    const long long pixels = pixels_of(context.dst);
    const int channels = context.dst.shape.c;
    return make_launch(context, "batchnorm", kernel::normalize, pixels * channels,
                       NormalizeArgs{view_of(context.src[0]), view_of(context.dst), by, pixels, channels, kLinear});
}

}  // namespace dn::cuda
