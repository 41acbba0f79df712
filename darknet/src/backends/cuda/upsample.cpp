// SPDX-License-Identifier: Apache-2.0
// [upsample]: each pixel becomes a block, or each block its sum.
#include "kernel_context.hpp"
#include "kernels/move.cuh"
#include "launch.hpp"

namespace dn::cuda {

std::unique_ptr<Kernel> make_upsample(const Context& context) {
    const auto& params = context.node.as<UpsampleParams>();
    const Tensor &src = context.src[0], &dst = context.dst;
    const bool grows = params.stride > 0;
    const bool leaves_rest = !grows && (src.shape.h % -params.stride != 0 || src.shape.w % -params.stride != 0);
    if (src.type != dst.type || leaves_rest) return make_by_reference(context);
    const Tensor& smaller = grows ? src : dst;
    const UpsampleArgs args{view_of(src),
                            view_of(dst),
                            context.batch,
                            smaller.shape.h,
                            smaller.shape.w,
                            dst.shape.c,
                            grows ? params.stride : -params.stride,
                            params.scale,
                            false};
    return make_launch(context.runtime, grows ? kernel::spread : kernel::collect, dst.type,
                       pixels_of(dst) * dst.shape.c, args, "upsample");
}

}  // namespace dn::cuda
