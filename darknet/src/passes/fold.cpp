// SPDX-License-Identifier: Apache-2.0
// Folding of batch-norm: y = (Wx - mean) * scale / sqrt(var + eps) + bias  ->  y = W'x + bias'.
#include <cmath>

#include "passes.hpp"

namespace dn {
namespace {

constexpr double kEpsilon = 1e-5;  // inside the root, as Darknet has it

}  // namespace

Folded fold_batchnorm(const Node& owner, const NodeParameters& params) {
    Folded folded{params.weights, params.biases};
    if (!owner.as<ConvolutionalParams>().batch_normalize) return folded;
    const std::size_t filters = params.biases.size();
    const std::size_t per_filter = params.weights.size() / filters;
    for (std::size_t f = 0; f < filters; ++f) {
        const double factor = params.scales[f] / std::sqrt(params.variances[f] + kEpsilon);
        folded.biases[f] = static_cast<float>(params.biases[f] - params.means[f] * factor);
        float* w = &folded.weights[f * per_filter];
        for (std::size_t i = 0; i < per_filter; ++i) w[i] = static_cast<float>(w[i] * factor);
    }
    return folded;
}

}  // namespace dn
