// SPDX-License-Identifier: Apache-2.0
// The keys that [maxpool] and [local_avgpool] have in common.
#pragma once

#include "../error.hpp"
#include "layer.hpp"

namespace dn {

inline void read_pool(CfgOptions& options, PoolParams& params) {
    read_strides(options, params.stride_x, params.stride_y);
    params.size = options.integer("size", options.integer("stride", 1), 1, 1 << 12);
    params.padding = options.integer("padding", params.size - 1, 0, 1 << 12);  // total, not per side
}

inline std::string describe_pool(const Node& node) {
    const auto& params = node.as<PoolParams>();
    if (params.depth) return text("depth ", params.out_channels);
    return text(params.size, "x", params.size, "/", describe_strides(params.stride_x, params.stride_y));
}

}  // namespace dn
