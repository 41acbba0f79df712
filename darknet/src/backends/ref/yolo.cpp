// SPDX-License-Identifier: Apache-2.0
// [yolo]: planes ((anchor, entry), h, w) with the entries x y w h objectness classes...
#include "yolo.hpp"

#include <algorithm>

#include "activations.hpp"
#include "ref.hpp"

namespace dn::ref {
namespace {

class Yolo : public RefKernel {
public:
    using RefKernel::RefKernel;

    void forward() override {
        std::copy_n(src(0), context_.dst.size(), dst(0));
        for (int i = 0; i < batch(); ++i) activate_boxes(node().as<YoloParams>(), {0, 1, 2, 3}, dst(i), node().out);
    }

    // The loss has already made the delta that of the input (without the slope of the logistic, as Darknet).
    void backward() override { pass_delta(node().as<YoloParams>().delta_normalizer); }
};

}  // namespace

void activate_boxes(const YoloParams& params, BoxEntries at, float* planes, Shape shape) {
    const std::size_t cells = std::size_t{1} * shape.h * shape.w;
    for (int channel = 0; channel < shape.c; ++channel) {
        const int entry = channel % params.entries();
        float* plane = planes + channel * cells;
        if (!params.new_coords && entry != at.w && entry != at.h)
            for (std::size_t cell = 0; cell < cells; ++cell) plane[cell] = logistic(plane[cell]);
        if (entry == at.x || entry == at.y)
            for (std::size_t cell = 0; cell < cells; ++cell)
                plane[cell] = params.scale_x_y * plane[cell] - (params.scale_x_y - 1) / 2;
    }
}

std::unique_ptr<Kernel> make_yolo(const HostContext& context) { return std::make_unique<Yolo>(context); }

}  // namespace dn::ref
