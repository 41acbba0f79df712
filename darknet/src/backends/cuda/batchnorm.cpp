// SPDX-License-Identifier: Apache-2.0
// [batchnorm] in inference: by the rolling statistics.
#include <algorithm>
#include <cmath>

#include "kernels/batch_norm.cuh"
#include "layer_kernels.hpp"

namespace dn::cuda {

std::unique_ptr<Kernel> make_batchnorm(const Context& context) {
    if (!has_one_type(context)) return make_by_reference(context);
    const NodeParameters& values = *context.params;
    // In the place of the variances, which nothing else reads.
    const void* inverse = context.weights.get(
        context.node.index, static_cast<int>(Role::variances), values.variances.size(), DType::f32, [&](float* out) {
            std::transform(values.variances.begin(), values.variances.end(), out, [](float variance) {
                return static_cast<float>(1 / std::sqrt(variance + kBatchNormEpsilon));
            });
        });
    const Normalization by{parameter(context, Role::means), static_cast<const float*>(inverse),
                           parameter(context, Role::scales), parameter(context, Role::biases)};
    const long long pixels = pixels_of(context.dst);
    const int channels = context.dst.shape.c;
    return make_launch(context, "batchnorm", kernel::normalize, pixels * channels,
                       NormalizeArgs{view_of(context.src[0]), view_of(context.dst), by, pixels, channels, kLinear});
}

}  // namespace dn::cuda
