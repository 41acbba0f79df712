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
        activate(params.activation, dst(0), batch(), node().out);
    }
};

}  // namespace

std::unique_ptr<Kernel> make_scale_channels(const KernelContext& context) {
    return std::make_unique<ScaleChannels>(context);
}

}  // namespace dn::ref
