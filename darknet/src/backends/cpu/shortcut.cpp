// SPDX-License-Identifier: Apache-2.0
// [shortcut] that no convolution absorbed: a sum of sources, weighted or not, then an activation.
#include <cmath>

#include "../ref/ref.hpp"

#include "cpu.hpp"
#include "elementwise.hpp"

namespace dn::cpu {
namespace {

constexpr float kEpsilon = 1e-4f, kFloor = 1e-3f;

// Darknet's normalisation across the sources of one channel.
void normalize(float* weights, std::size_t sources, std::size_t pitch, WeightsNormalization kind) {
    if (kind == WeightsNormalization::none) return;
    float peak = weights[0], sum = kEpsilon;
    for (std::size_t s = 1; s < sources; ++s) peak = std::max(peak, weights[s * pitch]);
    for (std::size_t s = 0; s < sources; ++s) {
        float& w = weights[s * pitch];
        w = kind == WeightsNormalization::relu ? std::max(w, kFloor) : std::exp(w - peak);
        sum += w;
    }
    for (std::size_t s = 0; s < sources; ++s) weights[s * pitch] /= sum;
}

// One factor per source and channel; empty when every factor is 1.
Floats source_factors(const Context& context) {
    const auto& params = context.node.as<ShortcutParams>();
    if (params.weights_per_source == 0) return {};
    const std::size_t sources = context.src.size(), channels = context.dst.shape.c;
    const bool per_channel = params.weights_per_source != 1;
    Floats factors(sources * channels);
    for (std::size_t s = 0; s < sources; ++s)
        for (std::size_t c = 0; c < channels; ++c)
            factors[s * channels + c] = context.params->weights[s * params.weights_per_source + (per_channel ? c : 0)];
    for (std::size_t c = 0; c < channels; ++c) normalize(&factors[c], sources, channels, params.normalization);
    return factors;
}

class Shortcut : public Kernel {
public:
    explicit Shortcut(const Context& context)
        : src_(context.src),
          dst_(context.dst),
          activation_(context.node.as<ShortcutParams>().activation),
          factors_(source_factors(context)) {
        flat_ = factors_.empty() && dst_.dense();
        for (const Tensor& src : src_) flat_ = flat_ && src.dense() && src.shape == dst_.shape;
    }

    void forward() override {
        for_each_run(dst_, flat_, [&](const Run& run) {
            float sum[kRow];
            std::fill(sum, sum + run.count, 0.0f);
            for (std::size_t s = 0; s < src_.size(); ++s) accumulate(sum, s, run);
            activate(sum, run.count, activation_);
            store(dst_, run, sum);
        });
    }

    std::string what() const override { return "shortcut"; }

private:
    // A source with fewer channels adds nothing to the others, one of a larger size every n-th value of every n-th row.
    void accumulate(float* sum, std::size_t s, Run run) const {
        const std::size_t channels = src_[s].shape.c;
        if (!flat_) {
            if (run.channel >= channels) return;
            run.count = std::min(run.count, channels - run.channel);
            run.pixel = sampled(src_[s].shape, run.pixel);
        }
        float row[kRow];
        load(row, src_[s], run);
        if (factors_.empty()) return add(sum, row, run.count);
        add_scaled(sum, row, &factors_[s * dst_.shape.c + run.channel], run.count);
    }

    // Rows of all images follow each other, with `step` rows of the source for one of the output.
    std::size_t sampled(Shape from, std::size_t pixel) const {
        const std::size_t width = dst_.shape.w, step = from.w / width;
        return step == 1 ? pixel : (pixel / width * from.w + pixel % width) * step;
    }

    std::vector<Tensor> src_;
    Tensor dst_;
    Activation activation_;
    Floats factors_;
    bool flat_ = false;
};

}  // namespace

std::unique_ptr<Kernel> make_shortcut(const Context& context) {
    if (normalizes_channels(context.node.as<ShortcutParams>().activation))
        return make_by_reference(context, ref::make_shortcut);
    return std::make_unique<Shortcut>(context);
}

}  // namespace dn::cpu
