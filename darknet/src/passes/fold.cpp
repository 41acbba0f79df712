// SPDX-License-Identifier: Apache-2.0
// Folding of batch-norm: y = (Wx - mean) * scale / sqrt(var + eps) + bias  ->  y = W'x + bias'.
#include <algorithm>
#include <cmath>

#include "passes.hpp"

namespace dn {
namespace {

double factor(const NodeParameters& params, std::size_t filter) {
    return params.scales[filter] / std::sqrt(params.variances[filter] + kBatchNormEpsilon);
}

}  // namespace

void fold_weights(const NodeParameters& params, float* folded) {
    if (params.scales.empty()) {
        std::copy(params.weights.begin(), params.weights.end(), folded);
        return;
    }
    const std::size_t filters = params.biases.size(), per_filter = params.weights.size() / filters;
    for (std::size_t f = 0; f < filters; ++f) {
        const double a = factor(params, f);
        for (std::size_t i = f * per_filter; i < (f + 1) * per_filter; ++i)
            folded[i] = static_cast<float>(params.weights[i] * a);
    }
}

void fold_biases(const NodeParameters& params, float* folded) {
    std::copy(params.biases.begin(), params.biases.end(), folded);
    for (std::size_t f = 0; f < params.scales.size(); ++f)
        folded[f] = static_cast<float>(params.biases[f] - params.means[f] * factor(params, f));
}

}  // namespace dn
