// SPDX-License-Identifier: Apache-2.0
// [avgpool]: the mean of each channel.
#include "kernels/pool.cuh"

#include "layer_kernels.hpp"

namespace dn::cuda {

std::unique_ptr<Kernel> make_avgpool(const Context& context) {
    if (!has_one_type(context)) return make_by_reference(context);
    const Tensor& src = context.src[0];
    return make_launch(
        context, "avgpool", kernel::avgpool, Grid{tiles_of(src.shape.c), static_cast<unsigned>(context.batch), 1},
        AvgpoolArgs{view_of(src), view_of(context.dst), context.batch, pixels_of_image(src), src.shape.c, false});
}

}  // namespace dn::cuda
