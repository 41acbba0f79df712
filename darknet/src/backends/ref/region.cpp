// SPDX-License-Identifier: Apache-2.0
// [region], the head of YOLOv2: planes become (h, w, anchor, x y w h objectness classes...), with the objectness
// logistic and the classes a softmax, also one for each group of a tree.
#include "activations.hpp"
#include "common.hpp"
#include "ref.hpp"

namespace dn::ref {
namespace {

class Region : public RefKernel {
public:
    using RefKernel::RefKernel;

    void forward() override {
        const auto& params = node().as<RegionParams>();
        const int entries = params.coords + 1 + params.classes;
        const std::size_t cells = std::size_t{1} * node().out.h * node().out.w;
        for (int i = 0; i < batch(); ++i) {
            transpose(src(i), dst(i), node().out.c, cells);
            for (std::size_t box = 0; box < cells * params.num; ++box) activate_box(params, dst(i) + box * entries);
        }
    }

    // The loss has already made the delta that of the input.
    void backward() override {
        const std::size_t cells = std::size_t{1} * node().out.h * node().out.w;
        for (int i = 0; i < batch() && dsrc(0); ++i)
            for (int c = 0; c < node().out.c; ++c)
                for (std::size_t cell = 0; cell < cells; ++cell)
                    dsrc(i)[c * cells + cell] += ddst(i)[cell * node().out.c + c];
    }

private:
    // (channels, cells) -> (cells, channels)
    static void transpose(const float* x, float* y, int channels, std::size_t cells) {
        for (int c = 0; c < channels; ++c)
            for (std::size_t cell = 0; cell < cells; ++cell) y[cell * channels + c] = x[c * cells + cell];
    }

    static void activate_box(const RegionParams& params, float* box) {
        box[params.coords] = logistic(box[params.coords]);
        float* classes = box + params.coords + 1;
        if (!params.tree.parent.empty())
            ref::softmax(params.tree, classes, classes, 1);
        else if (params.softmax)
            ref::softmax(classes, classes, params.classes, 1, 1);
    }
};

}  // namespace

std::unique_ptr<Kernel> make_region(const HostContext& context) { return std::make_unique<Region>(context); }

}  // namespace dn::ref
