// SPDX-License-Identifier: Apache-2.0
// [Gaussian_yolo]: planes ((anchor, entry), h, w) with the entries x, y, w, h, each followed by its uncertainty, then
// objectness and classes. Logistic on all but w and h; x and y grow by scale_x_y around the cell's middle.
#include <algorithm>

#include "activations.hpp"
#include "ref.hpp"

namespace dn::ref {
namespace {

class GaussianYolo : public RefKernel {
public:
    using RefKernel::RefKernel;

    void forward() override {
        const auto& params = node().as<YoloParams>();
        const std::size_t cells = std::size_t{1} * node().out.h * node().out.w;
        std::copy_n(src(0), context_.dst.size(), dst(0));
        for (int i = 0; i < batch(); ++i)
            for (int channel = 0; channel < node().out.c; ++channel) {
                const int entry = channel % params.entries();
                float* plane = dst(i) + channel * cells;
                if (entry != kWidth && entry != kHeight)
                    for (std::size_t cell = 0; cell < cells; ++cell) plane[cell] = logistic(plane[cell]);
                if (entry == kX || entry == kY)
                    for (std::size_t cell = 0; cell < cells; ++cell)
                        plane[cell] = params.scale_x_y * plane[cell] - (params.scale_x_y - 1) / 2;
            }
    }

private:
    enum Entry { kX = 0, kY = 2, kWidth = 4, kHeight = 6 };
};

}  // namespace

std::unique_ptr<Kernel> make_gaussian_yolo(const KernelContext& context) {
    return std::make_unique<GaussianYolo>(context);
}

}  // namespace dn::ref
