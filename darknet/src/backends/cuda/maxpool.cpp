// SPDX-License-Identifier: Apache-2.0
// [maxpool] over windows; over channels, and with antialiasing, by reference.
#include "kernel_context.hpp"
#include "kernels/pool.cuh"
#include "launch.hpp"

namespace dn::cuda {

std::unique_ptr<Kernel> make_maxpool(const Context& context) {
    const auto& params = context.node.as<PoolParams>();
    const Tensor &src = context.src[0], &dst = context.dst;
    if (params.depth || params.antialiasing != 0 || src.type != dst.type) return make_by_reference(context);
    const PoolArgs args{view_of(src),       view_of(dst), nullptr,     context.batch, src.shape.h,     src.shape.w,
                        dst.shape.h,        dst.shape.w,  dst.shape.c, params.size,   params.stride_y, params.stride_x,
                        params.padding / 2, false};
    return make_launch(context.runtime, kernel::maxpool, dst.type, pixels_of(dst) * dst.shape.c, args, "maxpool");
}

}  // namespace dn::cuda
