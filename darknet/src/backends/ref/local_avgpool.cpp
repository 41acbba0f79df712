// SPDX-License-Identifier: Apache-2.0
// [local_avgpool]: the mean of each window over the positions inside the image.
#include <algorithm>

#include "ref.hpp"

namespace dn::ref {
namespace {

class LocalAvgpool : public RefKernel {
public:
    using RefKernel::RefKernel;

    void forward() override {
        const Shape in = src_shape(), out = node().out;
        for (int n = 0; n < batch(); ++n) {
            float* y = dst(n);
            for (int c = 0; c < out.c; ++c) {
                const float* plane = src(n) + std::size_t{1} * c * in.h * in.w;
                for (int i = 0; i < out.h; ++i)
                    for (int j = 0; j < out.w; ++j) *y++ = window_mean(plane, i, j);
            }
        }
    }

private:
    float window_mean(const float* plane, int i, int j) const {
        const auto& params = node().as<PoolParams>();
        const Shape in = src_shape();
        const int top = i * params.stride_y - params.padding / 2, left = j * params.stride_x - params.padding / 2;
        float sum = 0;
        int count = 0;
        for (int row = std::max(top, 0); row < std::min(top + params.size, in.h); ++row)
            for (int col = std::max(left, 0); col < std::min(left + params.size, in.w); ++col, ++count)
                sum += plane[std::size_t{1} * row * in.w + col];
        return count == 0 ? 0 : sum / count;
    }
};

}  // namespace

std::unique_ptr<Kernel> make_local_avgpool(const KernelContext& context) {
    return std::make_unique<LocalAvgpool>(context);
}

}  // namespace dn::ref
