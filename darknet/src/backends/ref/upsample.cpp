// SPDX-License-Identifier: Apache-2.0
// [upsample]: y[c, i, j] = scale * x[c, i/s, j/s]; with a negative stride scale * the sum of each block.
#include "ref.hpp"

namespace dn::ref {
namespace {

class Upsample : public RefKernel {
public:
    using RefKernel::RefKernel;

    void forward() override {
        const auto& params = node().as<UpsampleParams>();
        for (int n = 0; n < batch(); ++n)
            params.stride > 0 ? spread(src(n), dst(n), params) : gather(src(n), dst(n), params);
    }

    void backward() override {
        const auto& params = node().as<UpsampleParams>();
        for (int n = 0; n < batch() && dsrc(0); ++n)
            params.stride > 0 ? collect(ddst(n), dsrc(n), params) : scatter(ddst(n), dsrc(n), params);
    }

private:
    void collect(const float* delta, float* dx, const UpsampleParams& params) const {
        const Shape in = src_shape(), out = node().out;
        for (int c = 0; c < out.c; ++c)
            for (int i = 0; i < out.h; ++i) {
                float* row = dx + (std::size_t{1} * c * in.h + i / params.stride) * in.w;
                for (int j = 0; j < out.w; ++j) row[j / params.stride] += params.scale * *delta++;
            }
    }

    void scatter(const float* delta, float* dx, const UpsampleParams& params) const {
        const Shape in = src_shape(), out = node().out;
        const int block = -params.stride;
        for (int c = 0; c < out.c; ++c)
            for (int i = 0; i < out.h; ++i)
                for (int j = 0; j < out.w; ++j, ++delta)
                    for (int u = 0; u < block; ++u)
                        for (int v = 0; v < block; ++v)
                            dx[(std::size_t{1} * c * in.h + i * block + u) * in.w + j * block + v] +=
                                params.scale * *delta;
    }

    void spread(const float* x, float* y, const UpsampleParams& params) const {
        const Shape in = src_shape(), out = node().out;
        for (int c = 0; c < out.c; ++c)
            for (int i = 0; i < out.h; ++i) {
                const float* row = x + (std::size_t{1} * c * in.h + i / params.stride) * in.w;
                for (int j = 0; j < out.w; ++j) *y++ = params.scale * row[j / params.stride];
            }
    }

    void gather(const float* x, float* y, const UpsampleParams& params) const {
        const Shape in = src_shape(), out = node().out;
        const int block = -params.stride;
        for (int c = 0; c < out.c; ++c)
            for (int i = 0; i < out.h; ++i)
                for (int j = 0; j < out.w; ++j) {
                    float sum = 0;
                    for (int u = 0; u < block; ++u)
                        for (int v = 0; v < block; ++v)
                            sum += x[(std::size_t{1} * c * in.h + i * block + u) * in.w + j * block + v];
                    *y++ = params.scale * sum;
                }
    }
};

}  // namespace

std::unique_ptr<Kernel> make_upsample(const HostContext& context) { return std::make_unique<Upsample>(context); }

}  // namespace dn::ref
