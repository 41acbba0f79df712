// SPDX-License-Identifier: Apache-2.0
// [yolo] and [Gaussian_yolo]: logistic of what is not a width or height. The output is float32.
#include "kernel_context.hpp"
#include "kernels/heads.cuh"
#include "layer_kernels.hpp"

namespace dn::cuda {
namespace {

struct Entries {
    int x, y, width, height;
};

std::unique_ptr<Kernel> make_head(const Context& context, Entries at) {
    const auto& params = context.node.as<YoloParams>();
    const Tensor &src = context.src[0], &dst = context.dst;
    if (dst.type != DType::f32) return make_by_reference(context);
    const YoloArgs args{view_of(src), view_of(dst), pixels_of(dst), dst.shape.c,      params.entries(), at.x,
                        at.y,         at.width,     at.height,      params.scale_x_y, params.new_coords};
    return make_launch(context, "yolo", kernel::yolo, args.pixels * args.channels, args);
}

}  // namespace

std::unique_ptr<Kernel> make_yolo(const Context& context) { return make_head(context, {0, 1, 2, 3}); }

// Each of the four is followed by its deviation.
std::unique_ptr<Kernel> make_gaussian_yolo(const Context& context) { return make_head(context, {0, 2, 4, 6}); }

}  // namespace dn::cuda
