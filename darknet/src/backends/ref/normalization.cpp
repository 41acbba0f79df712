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
        norms_.resize(context_.dst.size());
        const std::size_t pixels = std::size_t{1} * node().out.h * node().out.w;
        for (int i = 0; i < batch(); ++i)
            for (std::size_t p = 0; p < pixels; ++p) {
                float* norms = norms_.data() + i * node().out.size() + p;
                measure(src(i) + p, norms, pixels);
                for (std::size_t k = 0; k < node().out.size(); k += pixels)
                    dst(i)[k + p] = src(i)[k + p] * std::pow(norms[k], -params().beta);
            }
    }

    void backward() override {
        const std::size_t pixels = std::size_t{1} * node().out.h * node().out.w;
        for (int i = 0; i < batch() && dsrc(0); ++i)
            for (std::size_t p = 0; p < pixels; ++p)
                for (int c = 0; c < node().out.c; ++c) dsrc(i)[c * pixels + p] += slope(i, c, p, pixels);
    }

private:
    const NormalizationParams& params() const { return node().as<NormalizationParams>(); }
    int ahead() const { return params().size / 2; }
    int behind() const { return (params().size - 1) / 2 + 1; }

    void measure(const float* x, float* norms, std::size_t step) const {
        const int channels = node().out.c;
        const auto square = [&](int c) { return c >= 0 && c < channels ? x[c * step] * x[c * step] : 0; };
        float norm = params().kappa;
        for (int c = 0; c < std::min(ahead(), channels); ++c) norm += params().alpha * square(c);
        for (int c = 0; c < channels; ++c) {
            if (c > 0) norm += params().alpha * (square(c + ahead()) - square(c - behind()));
            norms[c * step] = norm;
        }
    }

    // How often x_c^2 is in the norm of channel k: 1, 0, or -1 for the element that never entered.
    int share(int c, int k) const {
        const bool entered = c < ahead() || (c > ahead() && k >= c - ahead());
        return entered - (k >= c + behind());
    }

    // delta_c n_c^-beta - 2 alpha beta x_c sum over k of share(c, k) delta_k y_k / n_k
    float slope(int i, int c, std::size_t p, std::size_t pixels) const {
        const float* norms = norms_.data() + i * node().out.size();
        float sum = 0;
        for (int k = 0; k < node().out.c; ++k) {
            const std::size_t at = k * pixels + p;
            if (share(c, k) != 0) sum += static_cast<float>(share(c, k)) * ddst(i)[at] * dst(i)[at] / norms[at];
        }
        const std::size_t at = c * pixels + p;
        return ddst(i)[at] * std::pow(norms[at], -params().beta) -
               2 * params().alpha * params().beta * src(i)[at] * sum;
    }

    Floats norms_;  // n_k of the last forward pass, (n, c, h, w)
};

}  // namespace

std::unique_ptr<Kernel> make_normalization(const HostContext& context) {
    return std::make_unique<Normalization>(context);
}

}  // namespace dn::ref
