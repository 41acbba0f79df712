// SPDX-License-Identifier: Apache-2.0
// [Gaussian_yolo]: planes ((anchor, entry), h, w) with the entries x, y, w, h, each followed by its uncertainty, then
// objectness and classes.
#include <algorithm>

#include "ref.hpp"
#include "yolo.hpp"

namespace dn::ref {
namespace {

class GaussianYolo : public RefKernel {
public:
    using RefKernel::RefKernel;

    void forward() override {
        std::copy_n(src(0), context_.dst.size(), dst(0));
        for (int i = 0; i < batch(); ++i) activate_boxes(node().as<YoloParams>(), {0, 2, 4, 6}, dst(i), node().out);
    }

    // The loss has already made the delta that of the input (without the slope of the logistic, as Darknet).
    void backward() override { pass_delta(node().as<YoloParams>().delta_normalizer); }
};

}  // namespace

std::unique_ptr<Kernel> make_gaussian_yolo(const HostContext& context) {
    return std::make_unique<GaussianYolo>(context);
}

}  // namespace dn::ref
