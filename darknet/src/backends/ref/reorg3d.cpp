// SPDX-License-Identifier: Apache-2.0
// [reorg3d]: space-to-depth, y[k, j, i] = x[k mod C, j s + (k/C)/s, i s + (k/C) mod s]. The reverse is Darknet's, which
// does not undo it: the same map as [reorg]'s, for the shape of the output.
#include "ref.hpp"

namespace dn::ref {
namespace {

class Reorg3d : public RefKernel {
public:
    using RefKernel::RefKernel;

    void forward() override {
        const auto& params = node().as<ReorgParams>();
        for (int n = 0; n < batch(); ++n)
            params.reverse ? depth_to_space(src(n), dst(n), params.stride)
                           : space_to_depth(src(n), dst(n), params.stride);
    }

private:
    void space_to_depth(const float* x, float* y, int s) const {
        const Shape in = src_shape(), out = node().out;
        for (int k = 0; k < out.c; ++k) {
            const int channel = k % in.c, block = k / in.c;
            for (int j = 0; j < out.h; ++j)
                for (int i = 0; i < out.w; ++i)
                    *y++ = x[(std::size_t{1} * channel * in.h + j * s + block / s) * in.w + i * s + block % s];
        }
    }

    void depth_to_space(const float* x, float* y, int s) const {
        const Shape out = node().out;
        const int depth = out.c / (s * s);
        for (int k = 0; k < out.c; ++k)
            for (int j = 0; j < out.h; ++j)
                for (int i = 0; i < out.w; ++i) {
                    const int block = k / depth;
                    const std::size_t row =
                        std::size_t{1} * j * s + block / s + std::size_t{1} * out.h * s * (k % depth);
                    y[std::size_t{1} * i * s + block % s + row * out.w * s] = *x++;
                }
    }
};

}  // namespace

std::unique_ptr<Kernel> make_reorg3d(const KernelContext& context) { return std::make_unique<Reorg3d>(context); }

}  // namespace dn::ref
