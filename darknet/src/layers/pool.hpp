// SPDX-License-Identifier: Apache-2.0
// The keys that [maxpool] and [local_avgpool] have in common.
#pragma once

#include "layer.hpp"

namespace dn {

inline void read_pool(CfgOptions& options, PoolParams& params) {
    read_strides(options, params.stride_x, params.stride_y);
    params.size = options.integer("size", options.integer("stride", 1), 1, 1 << 12);
    params.padding = options.integer("padding", params.size - 1, 0, 1 << 12);  // total, not per side
}

}  // namespace dn
