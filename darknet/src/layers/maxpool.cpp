// SPDX-License-Identifier: Apache-2.0
// [maxpool]: the maximum of each window, or with maxpool_depth of channels.
#include "layer.hpp"

#include "../error.hpp"
#include "pool.hpp"

namespace dn {
namespace {

void parse(CfgOptions& options, const Graph&, Node& node) {
    auto params = std::make_shared<PoolParams>();
    read_pool(options, *params);
    params->depth = options.flag("maxpool_depth");
    params->out_channels = options.integer("out_channels", 1, 1, 1 << 20);
    params->antialiasing = options.integer("antialiasing", 0, 0, 2);
    if (params->depth && params->antialiasing)
        options.fail("antialiasing", "cannot be combined with maxpool_depth, which leaves the image's size");
    options.unsupported("maxpool_zero_nonmax");  // an experiment of Darknet's GPU training
    node.params = params;
}

void infer(const Graph&, Node& node) {
    const auto& params = node.as<PoolParams>();
    if (params.depth) {
        if (params.out_channels > node.in.c)
            shape_error(node, text("found out_channels=", params.out_channels, ", expected at most the ", node.in.c,
                                   " input channels"));
        node.out = {params.out_channels, node.in.h, node.in.w};
    } else {
        // With antialiasing the strides belong to the blur that follows.
        const bool blurred = params.antialiasing != 0;
        const int w = window_out(node, node.in.w, params.padding, params.size, blurred ? 1 : params.stride_x);
        const int h = window_out(node, node.in.h, params.padding, params.size, blurred ? 1 : params.stride_y);
        checked_shape(node, node.in.c, h, w);
        node.out = checked_shape(node, node.in.c, blurred_out(node, h, params.antialiasing, params.stride_y),
                                 blurred_out(node, w, params.antialiasing, params.stride_x));
    }
    node.flops = 1.0 * params.size * params.size * node.in.c * node.out.h * node.out.w;
}

}  // namespace

const LayerDef& layer_maxpool() {
    static const LayerDef def = [] {
        LayerDef layer{Kind::maxpool, "maxpool", {"maxpool", "max"}, parse, infer};
        layer.describe = describe_pool;
        return layer;
    }();
    return def;
}

}  // namespace dn
