// SPDX-License-Identifier: Apache-2.0
// [local_avgpool]: the mean of each window, over the positions inside the image.
#include "layer.hpp"

#include "pool.hpp"

namespace dn {
namespace {

void parse(CfgOptions& options, const Graph&, Node& node) {
    auto params = std::make_shared<PoolParams>();
    read_pool(options, *params);
    node.params = params;
}

void infer(const Graph&, Node& node) {
    const auto& params = node.as<PoolParams>();
    node.out = checked_shape(node, node.in.c, window_out(node, node.in.h, params.padding, params.size, params.stride_y),
                             window_out(node, node.in.w, params.padding, params.size, params.stride_x));
    node.flops = 1.0 * params.size * params.size * node.out.size();
}

}  // namespace

const LayerDef& layer_local_avgpool() {
    static const LayerDef def = [] {
        LayerDef layer{Kind::local_avgpool, "local_avgpool", {"local_avgpool", "local_avg"}, parse, infer};
        layer.describe = describe_pool;
        return layer;
    }();
    return def;
}

}  // namespace dn
