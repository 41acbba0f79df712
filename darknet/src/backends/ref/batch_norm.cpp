// SPDX-License-Identifier: Apache-2.0
#include "batch_norm.hpp"

#include <algorithm>
#include <cmath>

#include "../rolling_shares.hpp"
#include "common.hpp"

namespace dn::ref {
namespace {

// Calls visit(index of an element) for every element of a channel.
template <class Visit>
void for_channel(int channel, int n, Shape shape, Visit&& visit) {
    const std::size_t pixels = std::size_t{1} * shape.h * shape.w;
    for (int i = 0; i < n; ++i) {
        const std::size_t first = i * shape.size() + channel * pixels;
        for (std::size_t k = first; k < first + pixels; ++k) visit(k);
    }
}

}  // namespace

void BatchNorm::forward(const NodeParameters& parameters, NodeParameters& rolling, float* x, int n, Shape shape) {
    x_.assign(x, x + n * shape.size());
    means_.resize(shape.c);
    inverse_.resize(shape.c);
    const double count = static_cast<double>(n) * shape.h * shape.w;
    for (int c = 0; c < shape.c; ++c) {
        double sum = 0, squares = 0;
        for_channel(c, n, shape, [&](std::size_t k) { sum += x[k]; });
        const double mean = sum / count;
        for_channel(c, n, shape, [&](std::size_t k) { squares += (x[k] - mean) * (x[k] - mean); });
        const double variance = squares / count, unbiased = squares / std::max(1.0, count - 1);
        means_[c] = static_cast<float>(mean);
        inverse_[c] = static_cast<float>(1 / std::sqrt(variance + kBatchNormEps));
        rolling.means[c] = kRollingMomentum * rolling.means[c] + (1 - kRollingMomentum) * means_[c];
        rolling.variances[c] =
            kRollingMomentum * rolling.variances[c] + (1 - kRollingMomentum) * static_cast<float>(unbiased);
        for_channel(c, n, shape, [&](std::size_t k) {
            x[k] = (x[k] - means_[c]) * inverse_[c] * parameters.scales[c] + parameters.biases[c];
        });
    }
}

void BatchNorm::backward(const NodeParameters& parameters, NodeParameters& gradients, float* delta, int n,
                         Shape shape) const {
    const double count = static_cast<double>(n) * shape.h * shape.w;
    for (int c = 0; c < shape.c; ++c) {
        const auto normalised = [&](std::size_t k) { return (x_[k] - means_[c]) * inverse_[c]; };
        double sum = 0, product = 0;
        for_channel(c, n, shape, [&](std::size_t k) {
            sum += delta[k];
            product += static_cast<double>(delta[k]) * normalised(k);
        });
        gradients.biases[c] += static_cast<float>(sum);
        gradients.scales[c] += static_cast<float>(product);
        const auto mean_delta = static_cast<float>(sum / count), mean_product = static_cast<float>(product / count);
        const float factor = parameters.scales[c] * inverse_[c];
        for_channel(c, n, shape,
                    [&](std::size_t k) { delta[k] = factor * (delta[k] - mean_delta - normalised(k) * mean_product); });
    }
}

void add_bias_gradients(NodeParameters& gradients, const float* delta, int n, Shape shape) {
    for (int c = 0; c < shape.c; ++c) {
        double sum = 0;
        for_channel(c, n, shape, [&](std::size_t k) { sum += delta[k]; });
        gradients.biases[c] += static_cast<float>(sum);
    }
}

}  // namespace dn::ref
