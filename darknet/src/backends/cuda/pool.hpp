// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/pool.cuh"
#include "layer_kernels.hpp"

namespace dn::cuda {

// Arguments of a pool over windows of the layer's input; forward from its values, backward from the output's delta.
inline PoolArgs pool_args(const Context& context, View from, View to, Shape out, int stride_y, int stride_x) {
    const auto& params = context.node.as<PoolParams>();
    const Shape in = context.src[0].shape;
    return {from,        to,       context.kept.index, context.batch,      in.h, in.w, out.h, out.w, in.c,
            params.size, stride_y, stride_x,           params.padding / 2, false};
}

}  // namespace dn::cuda
