// SPDX-License-Identifier: Apache-2.0
// [reorg3d]: space-to-depth; its reverse is Darknet's, which does not undo it: see backends/ref/reorg3d.cpp.
#include "layer.hpp"

#include "../error.hpp"

namespace dn {
namespace {

void parse(CfgOptions& options, const Graph&, Node& node) {
    auto params = std::make_shared<ReorgParams>();
    params->stride = options.integer("stride", 1, 1, 1 << 7);
    params->reverse = options.flag("reverse");
    node.params = params;
}

void infer(const Graph&, Node& node) {
    const auto& params = node.as<ReorgParams>();
    const long long s = params.stride, c = node.in.c, h = node.in.h, w = node.in.w;
    if (!params.reverse) {
        node.out = checked_shape(node, c * s * s, h / s, w / s);
        return;
    }
    if (c % (s * s * s * s) != 0)
        shape_error(node, text("its ", c, " input channels are not a multiple of stride^4 = ", s * s * s * s));
    node.out = checked_shape(node, c / (s * s), h * s, w * s);
}

std::string describe(const Node& node) { return text("/", node.as<ReorgParams>().stride); }

}  // namespace

const LayerDef& layer_reorg3d() {
    static const LayerDef def = [] {
        LayerDef layer{Kind::reorg3d, "reorg3d", {"reorg3d"}, parse, infer};
        layer.describe = describe;
        return layer;
    }();
    return def;
}

}  // namespace dn
