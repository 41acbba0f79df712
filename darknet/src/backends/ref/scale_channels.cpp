// SPDX-License-Identifier: Apache-2.0
// [scale_channels]: y[c, i, j] = act(factor[c] * from[c, i, j]); with scale_wh factor[i, j].
#include "activations.hpp"
#include "ref.hpp"

namespace dn::ref {
namespace {

class ScaleChannels : public RefKernel {
public:
    using RefKernel::RefKernel;

    void forward() override {
        const auto& params = node().as<ScaleChannelsParams>();
        const std::size_t pixels = std::size_t{1} * node().out.h * node().out.w;
        for (int i = 0; i < batch(); ++i)
            for (int c = 0; c < node().out.c; ++c)
                for (std::size_t p = 0; p < pixels; ++p)
                    dst(i)[c * pixels + p] = src(i, 0)[params.scale_wh ? p : c] * src(i, 1)[c * pixels + p];
        if (context_.training() && slope_needs_input(params.activation))
            linear_.assign(dst(0), dst(0) + context_.dst.size());
        activate(params.activation, dst(0), batch(), node().out);
    }

    void backward() override {
        const auto& params = node().as<ScaleChannelsParams>();
        const std::size_t pixels = std::size_t{1} * node().out.h * node().out.w;
        multiply_slope(params.activation, linear_.data(), dst(0), ddst(0), batch(), node().out);
        // Darknet divides the gradient of a factor per pixel by the number of pixels.
        const float share = params.scale_wh ? 1.0f / static_cast<float>(pixels) : 1.0f;
        for (int i = 0; i < batch(); ++i)
            for (int c = 0; c < node().out.c; ++c)
                for (std::size_t p = 0; p < pixels; ++p) {
                    const std::size_t factor = params.scale_wh ? p : c, k = c * pixels + p;
                    if (dsrc(i, 0)) dsrc(i, 0)[factor] += share * ddst(i)[k] * src(i, 1)[k];
                    if (dsrc(i, 1)) dsrc(i, 1)[k] += ddst(i)[k] * src(i, 0)[factor];
                }
    }

private:
    Floats linear_;  // in front of the activation, where its slope asks for that
};

}  // namespace

std::unique_ptr<Kernel> make_scale_channels(const HostContext& context) {
    return std::make_unique<ScaleChannels>(context);
}

}  // namespace dn::ref
