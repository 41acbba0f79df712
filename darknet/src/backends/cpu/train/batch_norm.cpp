// SPDX-License-Identifier: Apache-2.0
#include "batch_norm.hpp"

#include <algorithm>
#include <cmath>

#include "../rows.hpp"
#include "slopes.hpp"

namespace dn::cpu {
namespace {

constexpr double kEps = 1e-5;       // inside the root
constexpr float kMomentum = 0.99f;  // of the rolling statistics
constexpr std::size_t kBlock = 64;  // pixels summed in float before they join a double

// Splits the pixels of a tensor into one contiguous part per thread, always the same way: sums stay reproducible.
template <class Body>
void for_parts(const Tensor& tensor, int parts, const Body& body) {
    const std::size_t pixels = tensor.size() / tensor.shape.c;
    parallel_for(parts, [&](int part) { body(part, pixels * part / parts, pixels * (part + 1) / parts); });
}

// Two sums per channel, one pair of arrays for each part, then added in order.
class PartialSums {
public:
    PartialSums(int parts, std::size_t channels) : channels_(channels), first_(parts), second_(parts) {
        for (int part = 0; part < parts; ++part) {
            first_[part].assign(channels, 0);
            second_[part].assign(channels, 0);
        }
    }

    void add(int part, const Floats& first, const Floats& second) {
        for (std::size_t c = 0; c < channels_; ++c) {
            first_[part][c] += first[c];
            second_[part][c] += second[c];
        }
    }

    void total(std::vector<double>& first, std::vector<double>& second) const {
        first.assign(channels_, 0);
        second.assign(channels_, 0);
        for (std::size_t part = 0; part < first_.size(); ++part)
            for (std::size_t c = 0; c < channels_; ++c) {
                first[c] += first_[part][c];
                second[c] += second_[part][c];
            }
    }

private:
    std::size_t channels_;
    std::vector<std::vector<double>> first_, second_;
};

}  // namespace

void NormAndActivate::forward(const Tensor& sums, const Tensor& dst) {
    normalize_&& context_.training() ? measure(sums) : use_rolling();
    const std::size_t channels = sums.shape.c;
    for_parts(sums, context_.threads, [&](int, std::size_t begin, std::size_t end) {
        Floats row(channels);
        for (std::size_t pixel = begin; pixel < end; ++pixel) {
            load(row.data(), at(sums.data, sums.type, pixel * channels), sums.type, channels);
            affine(row.data(), row.data(), scale_.data(), shift_.data(), channels);
            activate(row.data(), channels, activation_);
            store(at(dst.data, dst.type, pixel * channels), dst.type, row.data(), channels);
        }
    });
}

void NormAndActivate::measure(const Tensor& sums) {
    const std::size_t channels = sums.shape.c;
    PartialSums partial(context_.threads, channels);
    // Moments about a value of the channel lose less to cancellation than moments about 0.
    Floats centre(channels);
    load(centre.data(), sums.data, sums.type, channels);
    for_parts(sums, context_.threads, [&](int part, std::size_t begin, std::size_t end) {
        Floats row(channels), total(channels), squares(channels);
        for (std::size_t pixel = begin; pixel < end;) {
            std::fill(total.begin(), total.end(), 0.0f);
            std::fill(squares.begin(), squares.end(), 0.0f);
            for (const std::size_t stop = std::min(end, pixel + kBlock); pixel < stop; ++pixel) {
                load(row.data(), at(sums.data, sums.type, pixel * channels), sums.type, channels);
                add_moments(total.data(), squares.data(), row.data(), centre.data(), channels);
            }
            partial.add(part, total, squares);
        }
    });
    std::vector<double> means, variances;
    partial.total(means, variances);
    const double count = static_cast<double>(sums.size()) / static_cast<double>(channels);
    for (std::size_t c = 0; c < channels; ++c) {
        means[c] /= count;
        variances[c] = std::max(0.0, variances[c] / count - means[c] * means[c]);
        means[c] += centre[c];
    }
    move_rolling(means, variances, count);
}

void NormAndActivate::move_rolling(const std::vector<double>& means, const std::vector<double>& variances,
                                   double count) {
    NodeParameters& rolling = *context_.statistics;
    const std::size_t channels = means.size();
    scale_.resize(channels);
    shift_.resize(channels);
    inverse_.resize(channels);
    offset_.resize(channels);
    for (std::size_t c = 0; c < channels; ++c) {
        const double inverse = 1 / std::sqrt(variances[c] + kEps);
        const double unbiased = variances[c] * count / std::max(1.0, count - 1);
        inverse_[c] = static_cast<float>(inverse);
        offset_[c] = static_cast<float>(-means[c] * inverse);
        scale_[c] = static_cast<float>(rolling.scales[c] * inverse);
        shift_[c] = static_cast<float>(rolling.biases[c] - means[c] * rolling.scales[c] * inverse);
        rolling.means[c] = kMomentum * rolling.means[c] + (1 - kMomentum) * static_cast<float>(means[c]);
        rolling.variances[c] = kMomentum * rolling.variances[c] + (1 - kMomentum) * static_cast<float>(unbiased);
    }
}

// Without statistics of the batch: biases alone, or a frozen layer's rolling statistics.
void NormAndActivate::use_rolling() {
    const NodeParameters& params = *context_.params;
    const std::size_t channels = params.biases.size();
    scale_.assign(channels, 1.0f);
    shift_ = params.biases;
    for (std::size_t c = 0; c < channels && normalize_; ++c) {
        const double scale = params.scales[c] / std::sqrt(params.variances[c] + kEps);
        scale_[c] = static_cast<float>(scale);
        shift_[c] = static_cast<float>(params.biases[c] - params.means[c] * scale);
    }
}

// First pass of backward: delta becomes that of z; its sums per channel, alone and times x^.
void NormAndActivate::activate_and_reduce(const Tensor& sums, const Tensor& delta, std::vector<double>& totals,
                                          std::vector<double>& products) const {
    const std::size_t channels = sums.shape.c;
    PartialSums partial(context_.threads, channels);
    const Floats ones(channels, 1.0f), zeros(channels, 0.0f);
    const float* inverse = normalize_ ? inverse_.data() : ones.data();
    const float* offset = normalize_ ? offset_.data() : zeros.data();
    for_parts(sums, context_.threads, [&](int part, std::size_t begin, std::size_t end) {
        Floats x(channels), z(channels), d(channels), total(channels), product(channels);
        for (std::size_t pixel = begin; pixel < end;) {
            std::fill(total.begin(), total.end(), 0.0f);
            std::fill(product.begin(), product.end(), 0.0f);
            for (const std::size_t stop = std::min(end, pixel + kBlock); pixel < stop; ++pixel) {
                void* at_delta = at(delta.data, delta.type, pixel * channels);
                load(x.data(), at(sums.data, sums.type, pixel * channels), sums.type, channels);
                load(d.data(), at_delta, delta.type, channels);
                if (activation_ != Activation::linear) {
                    affine(z.data(), x.data(), scale_.data(), shift_.data(), channels);
                    multiply_slope(d.data(), z.data(), channels, activation_);
                    store(at_delta, delta.type, d.data(), channels);
                }
                add_products(total.data(), product.data(), d.data(), x.data(), inverse, offset, channels);
            }
            partial.add(part, total, product);
        }
    });
    partial.total(totals, products);
}

void NormAndActivate::backward(const Tensor& sums, const Tensor& delta) {
    const std::size_t channels = sums.shape.c;
    std::vector<double> totals, products;
    activate_and_reduce(sums, delta, totals, products);
    NodeParameters& gradients = *context_.gradients;
    for (std::size_t c = 0; c < channels; ++c) gradients.biases[c] += static_cast<float>(totals[c]);
    if (!normalize_) return;

    // delta = scale * (delta - mean(delta) - x^ mean(delta x^)), written as delta * a + sums * b + c.
    const double count = static_cast<double>(sums.size()) / static_cast<double>(channels);
    Floats b(channels), c(channels);
    for (std::size_t k = 0; k < channels; ++k) {
        gradients.scales[k] += static_cast<float>(products[k]);
        const double factor = scale_[k] * products[k] / count;
        b[k] = static_cast<float>(-factor * inverse_[k]);
        c[k] = static_cast<float>(-factor * offset_[k] - scale_[k] * totals[k] / count);
    }
    for_parts(sums, context_.threads, [&](int, std::size_t begin, std::size_t end) {
        Floats x(channels), d(channels);
        for (std::size_t pixel = begin; pixel < end; ++pixel) {
            void* at_delta = at(delta.data, delta.type, pixel * channels);
            load(x.data(), at(sums.data, sums.type, pixel * channels), sums.type, channels);
            load(d.data(), at_delta, delta.type, channels);
            blend(d.data(), x.data(), scale_.data(), b.data(), c.data(), channels);
            store(at_delta, delta.type, d.data(), channels);
        }
    });
}

}  // namespace dn::cpu
