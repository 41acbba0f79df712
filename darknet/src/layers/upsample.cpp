// SPDX-License-Identifier: Apache-2.0
// [upsample]: each pixel becomes a block; with a negative stride each block becomes its sum.
#include "layer.hpp"

#include "../error.hpp"

namespace dn {
namespace {

void parse(CfgOptions& options, const Graph&, Node& node) {
    auto params = std::make_shared<UpsampleParams>();
    params->stride = options.integer("stride", 2, -(1 << 10), 1 << 10);
    if (params->stride == 0) options.fail("stride", "found 0, expected a factor (negative: downsampling)");
    params->scale = options.real("scale", 1);
    node.params = params;
}

void infer(const Graph&, Node& node) {
    const long long s = node.as<UpsampleParams>().stride;
    node.out = s > 0 ? checked_shape(node, node.in.c, node.in.h * s, node.in.w * s)
                     : checked_shape(node, node.in.c, node.in.h / -s, node.in.w / -s);
}

std::string describe(const Node& node) { return text("x", node.as<UpsampleParams>().stride); }

}  // namespace

const LayerDef& layer_upsample() {
    static const LayerDef def = [] {
        LayerDef layer{Kind::upsample, "upsample", {"upsample"}, parse, infer};
        layer.describe = describe;
        return layer;
    }();
    return def;
}

}  // namespace dn
