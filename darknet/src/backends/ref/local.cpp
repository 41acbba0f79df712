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
        if (context_.training() && slope_needs_input(params().activation))
            linear_.assign(dst(0), dst(0) + context_.dst.size());
        activate(params().activation, dst(0), batch(), node().out);
    }

    void backward() override {
        multiply_slope(params().activation, linear_.data(), dst(0), ddst(0), batch(), node().out);
        for (int i = 0; i < batch(); ++i) correlate_backward(src(i), ddst(i), dsrc(i));
    }

private:
    const LocalParams& params() const { return node().as<LocalParams>(); }

    void correlate(const float* x, float* y) const {
        for_outputs([&](std::size_t at, std::size_t first, int i, int j) {
            const float* w = weights().weights.data() + first;
            float sum = 0;
            for_patch(i, j, [&](std::size_t k, std::size_t from) { sum += w[k] * x[from]; });
            y[at] = weights().biases[at] + sum;
        });
    }

    // dx (may be null) += W' delta; gradient of W += delta * x, of the biases += delta.
    void correlate_backward(const float* x, const float* delta, float* dx) const {
        for_outputs([&](std::size_t at, std::size_t first, int i, int j) {
            const float* w = weights().weights.data() + first;
            float* dw = gradients().weights.data() + first;
            gradients().biases[at] += delta[at];
            for_patch(i, j, [&](std::size_t k, std::size_t from) {
                dw[k] += delta[at] * x[from];
                if (dx) dx[from] += w[k] * delta[at];
            });
        });
    }

    // Calls visit(index of the output, of its first weight, row, column); weights (locations, filters, channels, size,
    // size).
    template <class Visit>
    void for_outputs(Visit&& visit) const {
        const Shape out = node().out;
        const std::size_t locations = std::size_t{1} * out.h * out.w;
        const std::size_t per_filter = std::size_t{1} * src_shape().c * params().size * params().size;
        std::size_t first = 0;
        for (int i = 0; i < out.h; ++i)
            for (int j = 0; j < out.w; ++j)
                for (int f = 0; f < out.c; ++f, first += per_filter)
                    visit(f * locations + std::size_t{1} * i * out.w + j, first, i, j);
    }

    // Calls visit(index of the weight, of the input) for each position of an output's window that is inside the image.
    template <class Visit>
    void for_patch(int i, int j, Visit&& visit) const {
        const Shape in = src_shape();
        const int top = i * params().stride - params().pad, left = j * params().stride - params().pad;
        std::size_t k = 0;
        for (int c = 0; c < in.c; ++c)
            for (int u = 0; u < params().size; ++u)
                for (int v = 0; v < params().size; ++v, ++k) {
                    const int row = top + u, col = left + v;
                    if (row < 0 || row >= in.h || col < 0 || col >= in.w) continue;
                    visit(k, (std::size_t{1} * c * in.h + row) * in.w + col);
                }
    }

    Floats linear_;  // in front of the activation, where its slope asks for that
};

}  // namespace

std::unique_ptr<Kernel> make_local(const HostContext& context) { return std::make_unique<Local>(context); }

}  // namespace dn::ref
