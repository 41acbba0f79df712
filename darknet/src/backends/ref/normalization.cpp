// SPDX-License-Identifier: Apache-2.0
// [normalization], across channels: y_k = x_k n_k^-beta, n_k = kappa + alpha * (sum of x^2 over a window of channels).
// The window is Darknet's: the one of channel 0 ends before ⌊size/2⌋, so an element leaves that never entered.
#include <algorithm>
#include <cmath>

#include "ref.hpp"

namespace dn::ref {
namespace {

class Normalization : public RefKernel {
public:
    using RefKernel::RefKernel;

    void forward() override {
        const std::size_t pixels = std::size_t{1} * node().out.h * node().out.w;
        for (int i = 0; i < batch(); ++i)
            for (std::size_t p = 0; p < pixels; ++p) normalize(src(i) + p, dst(i) + p, pixels);
    }

private:
    void normalize(const float* x, float* y, std::size_t step) const {
        const auto& params = node().as<NormalizationParams>();
        const int channels = node().out.c, ahead = params.size / 2, behind = (params.size - 1) / 2 + 1;
        const auto square = [&](int c) { return c >= 0 && c < channels ? x[c * step] * x[c * step] : 0; };
        float norm = params.kappa;
        for (int c = 0; c < std::min(ahead, channels); ++c) norm += params.alpha * square(c);
        for (int c = 0; c < channels; ++c) {
            if (c > 0) norm += params.alpha * (square(c + ahead) - square(c - behind));
            y[c * step] = x[c * step] * std::pow(norm, -params.beta);
        }
    }
};

}  // namespace

std::unique_ptr<Kernel> make_normalization(const KernelContext& context) {
    return std::make_unique<Normalization>(context);
}

}  // namespace dn::ref
