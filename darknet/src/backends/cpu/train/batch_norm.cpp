// SPDX-License-Identifier: Apache-2.0
#include "batch_norm.hpp"

#include <algorithm>
#include <cmath>

#include "../../rolling_shares.hpp"
#include "../rows.hpp"

namespace dn::cpu {
namespace {

constexpr std::size_t kBlock = 64;  // rows summed in float before they join a double

// Pixels are taken several at a time, as rows of about kRow numbers: a pixel of few channels is too short a loop.
std::size_t pixels_of_row(std::size_t channels) { return std::max<std::size_t>(1, kRow / channels); }

// One value per channel, again for each pixel of a row.
Floats along_row(const Floats& values) {
    Floats row;
    for (std::size_t i = pixels_of_row(values.size()); i > 0; --i) row.insert(row.end(), values.begin(), values.end());
    return row;
}

// Some pixels as one row.
struct Row {
    std::size_t first, count;  // elements

    // The values as floats: where they are, or in `stage`, from which write() brings back what has changed.
    float* values(Floats& stage, const Tensor& tensor) const {
        if (tensor.type == DType::f32) return tensor.f32() + first;
        load(stage.data(), at(tensor.data, tensor.type, first), tensor.type, count);
        return stage.data();
    }
    // Room for values that replace all others.
    float* room(Floats& stage, const Tensor& tensor) const {
        return tensor.type == DType::f32 ? tensor.f32() + first : stage.data();
    }
    void write(const Floats& stage, const Tensor& tensor) const {
        if (tensor.type != DType::f32) store(at(tensor.data, tensor.type, first), tensor.type, stage.data(), count);
    }
};

// Splits the pixels of a tensor into one contiguous part per thread, always the same way: sums stay reproducible.
// body(part, rows) sees the rows of a part.
template <class Body>
void for_parts(const Tensor& tensor, int parts, const Body& body) {
    const std::size_t channels = tensor.shape.c, pixels = tensor.size() / channels;
    const std::size_t step = pixels_of_row(channels);
    parallel_for(parts, [&](int part) {
        const std::size_t begin = pixels * part / parts, end = pixels * (part + 1) / parts;
        std::vector<Row> rows;
        for (std::size_t pixel = begin; pixel < end; pixel += step)
            rows.push_back({pixel * channels, std::min(step, end - pixel) * channels});
        body(part, rows);
    });
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
        double *firsts = first_[part].data(), *seconds = second_[part].data();
        for (std::size_t pixel = 0; pixel < first.size(); pixel += channels_)
            for (std::size_t c = 0; c < channels_; ++c) {
                firsts[c] += first[pixel + c];
                seconds[c] += second[pixel + c];
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

template <class Body>
void for_blocks(const std::vector<Row>& rows, const Body& body) {
    for (std::size_t begin = 0; begin < rows.size(); begin += kBlock)
        body(begin, std::min(rows.size(), begin + kBlock));
}

}  // namespace

void NormAndActivate::forward(const Tensor& sums, const Tensor& dst) {
    normalize_&& context_.training() ? measure(sums) : use_rolling();
    const Floats scale = along_row(scale_), shift = along_row(shift_);
    for_parts(sums, context_.threads, [&](int, const std::vector<Row>& rows) {
        Floats in(scale.size()), out(scale.size());
        for (const Row& row : rows) {
            const float* x = row.values(in, sums);
            float* y = row.room(out, dst);
            affine(y, x, scale.data(), shift.data(), row.count);
            activate(y, row.count, activation_);
            row.write(out, dst);
        }
    });
}

void NormAndActivate::measure(const Tensor& sums) {
    const std::size_t channels = sums.shape.c;
    PartialSums partial(context_.threads, channels);
    // Moments about a value of the channel lose less to cancellation than moments about 0.
    Floats centre(channels);
    load(centre.data(), sums.data, sums.type, channels);
    const Floats centres = along_row(centre);
    for_parts(sums, context_.threads, [&](int part, const std::vector<Row>& rows) {
        Floats stage(centres.size()), total(centres.size()), squares(centres.size());
        for_blocks(rows, [&](std::size_t begin, std::size_t end) {
            std::fill(total.begin(), total.end(), 0.0f);
            std::fill(squares.begin(), squares.end(), 0.0f);
            for (std::size_t i = begin; i < end; ++i)
                add_moments(total.data(), squares.data(), rows[i].values(stage, sums), centres.data(), rows[i].count);
            partial.add(part, total, squares);
        });
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
    const NodeParameters& params = *context_.params;
    NodeParameters& rolling = *context_.statistics;
    const std::size_t channels = means.size();
    scale_.resize(channels);
    shift_.resize(channels);
    inverse_.resize(channels);
    offset_.resize(channels);
    for (std::size_t c = 0; c < channels; ++c) {
        const double inverse = 1 / std::sqrt(variances[c] + kBatchNormEpsilon);
        const double unbiased = variances[c] * count / std::max(1.0, count - 1);
        inverse_[c] = static_cast<float>(inverse);
        offset_[c] = static_cast<float>(-means[c] * inverse);
        scale_[c] = static_cast<float>(params.scales[c] * inverse);
        shift_[c] = static_cast<float>(params.biases[c] - means[c] * params.scales[c] * inverse);
        rolling.means[c] = kRollingMomentum * rolling.means[c] + (1 - kRollingMomentum) * static_cast<float>(means[c]);
        rolling.variances[c] =
            kRollingMomentum * rolling.variances[c] + (1 - kRollingMomentum) * static_cast<float>(unbiased);
    }
}

// Without statistics of the batch: biases alone, or a frozen layer's rolling statistics.
void NormAndActivate::use_rolling() {
    const NodeParameters& params = *context_.params;
    const std::size_t channels = params.biases.size();
    scale_.assign(channels, 1.0f);
    shift_ = params.biases;
    for (std::size_t c = 0; c < channels && normalize_; ++c) {
        const double scale = params.scales[c] / std::sqrt(params.variances[c] + kBatchNormEpsilon);
        scale_[c] = static_cast<float>(scale);
        shift_[c] = static_cast<float>(params.biases[c] - params.means[c] * scale);
    }
}

// Whether a slope is computed in both passes of backward, which saves writing its product with delta in the first.
bool NormAndActivate::slope_later() const {
    return activation_ == Activation::linear || (normalize_ && has_cheap_slope(activation_));
}

CheapSlope NormAndActivate::slope_of(const Floats& scale, const Floats& shift) const {
    return {scale.data(), shift.data(), slope_later() ? activation_ : Activation::linear};
}

// First pass of backward: sums of the delta of z per channel, alone and times x^. delta becomes that of z unless its
// slope is left to the second pass.
void NormAndActivate::activate_and_reduce(const Tensor& sums, const Tensor& delta, std::vector<double>& totals,
                                          std::vector<double>& products) const {
    const std::size_t channels = sums.shape.c;
    PartialSums partial(context_.threads, channels);
    const Floats scale = along_row(scale_), shift = along_row(shift_);
    const Floats inverse = along_row(normalize_ ? inverse_ : Floats(channels, 1.0f));
    const Floats offset = along_row(normalize_ ? offset_ : Floats(channels, 0.0f));
    const CheapSlope slope = slope_of(scale, shift);
    for_parts(sums, context_.threads, [&](int part, const std::vector<Row>& rows) {
        const std::size_t width = scale.size();
        Floats sums_stage(width), delta_stage(width), z(width), total(width), product(width);
        for_blocks(rows, [&](std::size_t begin, std::size_t end) {
            std::fill(total.begin(), total.end(), 0.0f);
            std::fill(product.begin(), product.end(), 0.0f);
            for (std::size_t i = begin; i < end; ++i) {
                const Row& row = rows[i];
                const float* x = row.values(sums_stage, sums);
                float* d = row.values(delta_stage, delta);
                if (!slope_later()) {
                    affine(z.data(), x, scale.data(), shift.data(), row.count);
                    multiply_slope(d, z.data(), row.count, activation_);
                    row.write(delta_stage, delta);
                }
                add_products(total.data(), product.data(), d, x, inverse.data(), offset.data(), slope, row.count);
            }
            partial.add(part, total, product);
        });
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

    // delta = scale * (delta - mean(delta) - x^ mean(delta x^)), written as delta * scale + sums * b + c.
    const double count = static_cast<double>(sums.size()) / static_cast<double>(channels);
    Floats b(channels), c(channels);
    for (std::size_t k = 0; k < channels; ++k) {
        gradients.scales[k] += static_cast<float>(products[k]);
        const double factor = scale_[k] * products[k] / count;
        b[k] = static_cast<float>(-factor * inverse_[k]);
        c[k] = static_cast<float>(-factor * offset_[k] - scale_[k] * totals[k] / count);
    }
    const Floats scale = along_row(scale_), shift = along_row(shift_), on_x = along_row(b), constant = along_row(c);
    const CheapSlope slope = slope_of(scale, shift);
    for_parts(sums, context_.threads, [&](int, const std::vector<Row>& rows) {
        Floats sums_stage(scale.size()), delta_stage(scale.size());
        for (const Row& row : rows) {
            const float* x = row.values(sums_stage, sums);
            blend(row.values(delta_stage, delta), x, on_x.data(), constant.data(), slope, row.count);
            row.write(delta_stage, delta);
        }
    });
}

}  // namespace dn::cpu
