// SPDX-License-Identifier: Apache-2.0
// [yolo]: planes ((anchor, entry), h, w) with the entries x y w h objectness classes... Logistic on all but w and h,
// unless new_coords says that the layer before did it; then x and y grow by scale_x_y around the cell's middle.
#include <algorithm>

#include "activations.hpp"
#include "ref.hpp"

namespace dn::ref {
namespace {

class Yolo : public RefKernel {
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
                if (!params.new_coords && entry != kWidth && entry != kHeight)
                    for (std::size_t cell = 0; cell < cells; ++cell) plane[cell] = logistic(plane[cell]);
                if (entry == kX || entry == kY)
                    for (std::size_t cell = 0; cell < cells; ++cell)
                        plane[cell] = params.scale_x_y * plane[cell] - (params.scale_x_y - 1) / 2;
            }
    }

private:
    enum Entry { kX, kY, kWidth, kHeight };
};

}  // namespace

std::unique_ptr<Kernel> make_yolo(const KernelContext& context) { return std::make_unique<Yolo>(context); }

}  // namespace dn::ref
