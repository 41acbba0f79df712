// SPDX-License-Identifier: Apache-2.0
// [detection], the head of YOLOv1: [side^2 cells x classes][side^2 x num confidences][side^2 x num x 4 boxes];
// with softmax the classes of each cell become probabilities.
#include <algorithm>

#include "common.hpp"
#include "ref.hpp"

namespace dn::ref {
namespace {

class Detection : public RefKernel {
public:
    using RefKernel::RefKernel;

    void forward() override {
        const auto& params = node().as<DetectionParams>();
        std::copy_n(src(0), context_.dst.size(), dst(0));
        if (!params.softmax) return;
        for (int i = 0; i < batch(); ++i)
            for (int cell = 0; cell < params.side * params.side; ++cell) {
                float* classes = dst(i) + std::size_t{1} * cell * params.classes;
                ref::softmax(classes, classes, params.classes, 1, 1);
            }
    }
};

}  // namespace

std::unique_ptr<Kernel> make_detection(const HostContext& context) { return std::make_unique<Detection>(context); }

}  // namespace dn::ref
