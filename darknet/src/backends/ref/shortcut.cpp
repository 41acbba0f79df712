// SPDX-License-Identifier: Apache-2.0
// [shortcut]: y = act(sum over s of w_s src_s). A source with fewer channels adds to the first ones, one with more
// gives its first ones, a larger one every n-th value of every n-th row. The weights of a channel's sources may be
// normalised to the sum 1.
#include <algorithm>
#include <cmath>
#include <limits>

#include "activations.hpp"
#include "ref.hpp"

namespace dn::ref {
namespace {

class Shortcut : public RefKernel {
public:
    using RefKernel::RefKernel;

    void forward() override {
        const std::size_t pixels = std::size_t{1} * node().out.h * node().out.w;
        const Floats factors = normalized_weights();
        for (int i = 0; i < batch(); ++i)
            for (int c = 0; c < node().out.c; ++c) add_channel(i, c, pixels, factors);
        if (context_.training() && slope_needs_input(params().activation))
            linear_.assign(dst(0), dst(0) + context_.dst.size());
        activate(params().activation, dst(0), batch(), node().out);
    }

    void backward() override {
        const std::size_t pixels = std::size_t{1} * node().out.h * node().out.w;
        const Floats factors = normalized_weights();
        multiply_slope(params().activation, linear_.data(), dst(0), ddst(0), batch(), node().out);
        for (int i = 0; i < batch(); ++i)
            for (int s = 0; s < sources(); ++s)
                for (int c = 0; c < std::min(node().out.c, src_shape(s).c); ++c)
                    add_channel_backward(i, s, c, pixels, factors);
    }

private:
    const ShortcutParams& params() const { return node().as<ShortcutParams>(); }
    int sources() const { return static_cast<int>(context_.src.size()); }

    void add_channel_backward(int i, int s, int c, std::size_t pixels, const Floats& factors) const {
        const float* delta = ddst(i) + c * pixels;
        const std::size_t start = c * plane(s);
        if (!factors.empty()) {
            const float* x = src(i, s) + start;
            float sum = 0;
            for (std::size_t p = 0; p < pixels; ++p) sum += delta[p] * x[sampled(s, p)];
            gradients().weights[index(s, c)] += sum * normalization_slope(factors[index(s, c)]);
        }
        if (!dsrc(i, s)) return;
        const float factor = factors.empty() ? 1 : factors[index(s, c)];
        float* dx = dsrc(i, s) + start;
        for (std::size_t p = 0; p < pixels; ++p) dx[sampled(s, p)] += factor * delta[p];
    }

    std::size_t plane(int s) const { return std::size_t{1} * src_shape(s).h * src_shape(s).w; }

    // The value of a source's plane that is added to value p of the output's.
    std::size_t sampled(int s, std::size_t p) const {
        const Shape from = src_shape(s), to = node().out;
        const std::size_t step = from.w / to.w;
        return step == 1 ? p : (p / to.w * from.w + p % to.w) * step;
    }

    // Darknet's factor from a normalised weight to the raw one; not the true Jacobian.
    float normalization_slope(float factor) const {
        switch (params().normalization) {
            case WeightsNormalization::relu:
                return factor;
            case WeightsNormalization::softmax:
                return factor * (1 - factor);
            default:
                return 1;
        }
    }

    void add_channel(int i, int c, std::size_t pixels, const Floats& factors) const {
        float* y = dst(i) + c * pixels;
        std::fill_n(y, pixels, 0.0f);
        for (int s = 0; s < sources(); ++s) {
            if (c >= src_shape(s).c) continue;
            const float factor = factors.empty() ? 1 : factors[index(s, c)];
            const float* x = src(i, s) + c * plane(s);
            for (std::size_t p = 0; p < pixels; ++p) y[p] += factor * x[sampled(s, p)];
        }
    }

    // Weights stand source by source, each with one value or one for each channel.
    std::size_t index(int source, int channel) const {
        const int per_source = params().weights_per_source;
        return std::size_t{1} * source * per_source + (per_source == 1 ? 0 : channel);
    }

    Floats normalized_weights() const {
        Floats factors = weights().weights;
        if (params().normalization == WeightsNormalization::none) return factors;
        for (int c = 0; c < params().weights_per_source; ++c) normalize(factors, c);
        return factors;
    }

    void normalize(Floats& factors, int channel) const {
        constexpr float eps = 1e-4f, smallest = 1e-3f;
        float largest = std::numeric_limits<float>::lowest(), sum = eps;
        for (int s = 0; s < sources(); ++s) largest = std::max(largest, factors[index(s, channel)]);
        for (int s = 0; s < sources(); ++s) {
            float& w = factors[index(s, channel)];
            w = params().normalization == WeightsNormalization::relu ? std::max(w, smallest) : std::exp(w - largest);
            sum += w;
        }
        for (int s = 0; s < sources(); ++s) factors[index(s, channel)] /= sum;
    }

    Floats linear_;  // in front of the activation, where its slope asks for that
};

}  // namespace

std::unique_ptr<Kernel> make_shortcut(const HostContext& context) { return std::make_unique<Shortcut>(context); }

}  // namespace dn::ref
