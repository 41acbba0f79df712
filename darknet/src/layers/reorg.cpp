// SPDX-License-Identifier: Apache-2.0
// [reorg]: Darknet's first space-to-depth (YOLOv2), whose index map is not the obvious one: see backends/ref/reorg.cpp.
#include "layer.hpp"

#include "../error.hpp"

namespace dn {
namespace {

void parse(CfgOptions& options, const Graph&, Node& node) {
    auto params = std::make_shared<ReorgParams>();
    params->stride = options.integer("stride", 1, 1, 1 << 10);
    params->reverse = options.flag("reverse");
    node.params = params;
}

void infer(const Graph&, Node& node) {
    const auto& params = node.as<ReorgParams>();
    const int s = params.stride;
    if (node.in.c % (s * s) != 0)
        shape_error(node, text("its ", node.in.c, " input channels are not a multiple of stride * stride = ", s * s));
    if (!params.reverse && (node.in.h % s != 0 || node.in.w % s != 0))
        shape_error(node, text("its input of ", node.in.w, " x ", node.in.h, " is not a multiple of stride=", s));
    const long long c = node.in.c, h = node.in.h, w = node.in.w;
    node.out =
        params.reverse ? checked_shape(node, c / s / s, h * s, w * s) : checked_shape(node, c * s * s, h / s, w / s);
}

std::string describe(const Node& node) { return text("/", node.as<ReorgParams>().stride); }

}  // namespace

const LayerDef& layer_reorg() {
    static const LayerDef def = [] {
        LayerDef layer{Kind::reorg, "reorg", {"reorg"}, parse, infer};
        layer.describe = describe;
        return layer;
    }();
    return def;
}

}  // namespace dn
