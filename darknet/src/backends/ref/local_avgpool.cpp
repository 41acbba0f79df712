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

    void backward() override {
        const Shape in = src_shape(), out = node().out;
        for (int n = 0; n < batch() && dsrc(0); ++n) {
            const float* delta = ddst(n);
            for (int c = 0; c < out.c; ++c) {
                float* plane = dsrc(n) + std::size_t{1} * c * in.h * in.w;
                for (int i = 0; i < out.h; ++i)
                    for (int j = 0; j < out.w; ++j) {
                        const float share = *delta++ / std::max(1, visit_window(i, j, [](std::size_t) {}));
                        visit_window(i, j, [&](std::size_t k) { plane[k] += share; });
                    }
            }
        }
    }

private:
    // Calls visit(pixel) for each position of a window that is inside the image; returns how many.
    template <class Visit>
    int visit_window(int i, int j, Visit&& visit) const {
        const auto& params = node().as<PoolParams>();
        const Shape in = src_shape();
        const int top = i * params.stride_y - params.padding / 2, left = j * params.stride_x - params.padding / 2;
        int count = 0;
        for (int row = std::max(top, 0); row < std::min(top + params.size, in.h); ++row)
            for (int col = std::max(left, 0); col < std::min(left + params.size, in.w); ++col, ++count)
                visit(std::size_t{1} * row * in.w + col);
        return count;
    }

    float window_mean(const float* plane, int i, int j) const {
        float sum = 0;
        const int count = visit_window(i, j, [&](std::size_t k) { sum += plane[k]; });
        return count == 0 ? 0 : sum / count;
    }
};

}  // namespace

std::unique_ptr<Kernel> make_local_avgpool(const HostContext& context) {
    return std::make_unique<LocalAvgpool>(context);
}

}  // namespace dn::ref
