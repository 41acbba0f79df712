// SPDX-License-Identifier: Apache-2.0
// [upsample]: each value over a block, or with a negative stride the sums of blocks.
#include <cstdlib>

#include "kernels/move.cuh"
#include "layer_kernels.hpp"

namespace dn::cuda {

std::unique_ptr<Kernel> make_upsample(const Context& context) {
    const auto& params = context.node.as<UpsampleParams>();
    if (!has_one_type(context)) return make_by_reference(context);
    const bool enlarges = params.stride > 0;
    const Shape in = context.src[0].shape, out = context.dst.shape;
    const Shape small = enlarges ? in : out, large = enlarges ? out : in;
    return make_launch(context, "upsample", enlarges ? kernel::spread : kernel::collect,
                       static_cast<long long>(context.dst.size()),
                       UpsampleArgs{view_of(context.src[0]), view_of(context.dst), context.batch, small.h, small.w,
                                    large.h, large.w, small.c, std::abs(params.stride), params.scale, false});
}

}  // namespace dn::cuda
