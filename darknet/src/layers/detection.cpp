// SPDX-License-Identifier: Apache-2.0
// [detection]: the head of YOLOv1.
#include "../decode/decode.hpp"
#include "../error.hpp"
#include "head.hpp"

namespace dn {
namespace {

void parse(CfgOptions& options, const Graph&, Node& node) {
    auto params = std::make_shared<DetectionParams>();
    params->classes = options.integer("classes", params->classes, 1, kMaxClasses);
    params->coords = options.integer("coords", params->coords);
    if (params->coords != 4) options.fail("coords", text("found ", params->coords, ", expected 4 (x, y, w, h)"));
    params->num = options.integer("num", params->num, 1, kMaxAnchors);
    params->side = options.integer("side", params->side, 1, 1 << 12);
    params->softmax = options.flag("softmax");
    params->sqrt = options.flag("sqrt");
    // Its training is not implemented.
    options.unsupported({"rescore", "forced", "random"});
    for (const char* key : {"coord_scale", "object_scale", "noobject_scale", "class_scale", "resize"})
        options.unsupported(key, 1);
    options.unsupported("jitter", 0.2f);
    options.unsupported("max", 200);
    options.accept({"reorg", "nuisance", "background"});
    node.params = params;
}

void infer(const Graph&, Node& node) {
    const auto& params = node.as<DetectionParams>();
    const long long cell = (1LL + params.coords) * params.num + params.classes;
    const long long expected = cell * params.side * params.side;
    if (static_cast<long long>(node.in.size()) != expected)
        shape_error(node, text("found ", node.in.size(),
                               " inputs, expected side^2 * ((coords + 1) * num + classes) = ", expected));
    node.out = {node.in.c * node.in.h * node.in.w, 1, 1};
}

int classes(const Node& node) { return node.as<DetectionParams>().classes; }

}  // namespace

const LayerDef& layer_detection() {
    static const LayerDef def = [] {
        LayerDef layer{Kind::detection, "detection", {"detection"}, parse, infer};
        layer.head = layer.keeps_float = true;
        layer.untrainable = "the loss of YOLOv1 is not implemented; use a [yolo] head";
        layer.classes = classes;
        layer.decode = decode_detection;
        return layer;
    }();
    return def;
}

}  // namespace dn
