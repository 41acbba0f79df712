// SPDX-License-Identifier: Apache-2.0
// [local]: y[f, at] = act(b[f, at] + sum over c, u, v of W[at, f, c, u, v] x[c, row + u, col + v]), x zero outside.
#include "activations.hpp"
#include "ref.hpp"

namespace dn::ref {
namespace {

class Local : public RefKernel {
public:
    using RefKernel::RefKernel;

    void forward() override {
        for (int i = 0; i < batch(); ++i) correlate(src(i), dst(i));
        activate(params().activation, dst(0), batch(), node().out);
    }

private:
    const LocalParams& params() const { return node().as<LocalParams>(); }

    void correlate(const float* x, float* y) const {
        const Shape out = node().out;
        const std::size_t locations = std::size_t{1} * out.h * out.w;
        const std::size_t per_filter = std::size_t{1} * src_shape().c * params().size * params().size;
        const float* w = weights().weights.data();  // (locations, filters, channels, size, size)
        for (int i = 0; i < out.h; ++i)
            for (int j = 0; j < out.w; ++j)
                for (int f = 0; f < out.c; ++f, w += per_filter) {
                    const std::size_t at = f * locations + std::size_t{1} * i * out.w + j;
                    y[at] = weights().biases[at] + patch_sum(w, x, i, j);
                }
    }

    float patch_sum(const float* w, const float* x, int i, int j) const {
        const Shape in = src_shape();
        const int top = i * params().stride - params().pad, left = j * params().stride - params().pad;
        float sum = 0;
        for (int c = 0; c < in.c; ++c)
            for (int u = 0; u < params().size; ++u)
                for (int v = 0; v < params().size; ++v, ++w) {
                    const int row = top + u, col = left + v;
                    if (row < 0 || row >= in.h || col < 0 || col >= in.w) continue;
                    sum += *w * x[(std::size_t{1} * c * in.h + row) * in.w + col];
                }
        return sum;
    }
};

}  // namespace

std::unique_ptr<Kernel> make_local(const KernelContext& context) { return std::make_unique<Local>(context); }

}  // namespace dn::ref
