// SPDX-License-Identifier: Apache-2.0
// [region]: the head of YOLOv2 and YOLO9000.
#include <sstream>

#include "../decode/decode.hpp"
#include "../error.hpp"
#include "../losses/loss.hpp"
#include "head.hpp"

namespace dn {
namespace {

// One class of the tree a line, for each class that is reported.
std::vector<int> read_map(const std::string& path, std::size_t tree_classes) {
    constexpr std::size_t kMaxMapBytes = 16u << 20;
    std::istringstream stream(read_file(path, kMaxMapBytes));
    std::vector<int> map;
    int entry = 0;
    while (stream >> entry) {
        if (entry < 0 || static_cast<std::size_t>(entry) >= tree_classes)
            throw Error(Status::cfg, text(path, ":", map.size() + 1),
                        text("found class ", entry, ", expected 0 to ", tree_classes - 1, " as the tree has"));
        map.push_back(entry);
    }
    if (!stream.eof() || map.empty())
        throw Error(Status::cfg, text(path, ":", map.size() + 1), "expected one whole number a line");
    return map;
}

void parse(CfgOptions& options, const Graph&, Node& node) {
    auto params = std::make_shared<RegionParams>();
    params->classes = options.integer("classes", params->classes, 1, kMaxClasses);
    params->coords = options.integer("coords", params->coords, 4, 4);
    params->num = options.integer("num", params->num, 1, kMaxAnchors);
    params->anchors = read_anchors(options, params->num);
    params->softmax = options.flag("softmax");
    params->classfix = options.integer("classfix", 0);
    if (options.has("tree")) params->tree = read_tree(options.word("tree", ""), node.where);
    const std::size_t tree_classes = params->tree.parent.size();
    if (tree_classes != 0 && tree_classes != std::size_t(params->classes))
        options.fail("tree", text("found ", tree_classes, " lines, expected classes=", params->classes));
    if (options.has("map")) {
        if (tree_classes == 0) options.fail("map", "needs a tree");
        params->map = read_map(options.word("map", ""), tree_classes);
    }
    params->thresh = options.real("thresh", params->thresh);
    params->coord_scale = options.real("coord_scale", params->coord_scale);
    params->object_scale = options.real("object_scale", params->object_scale);
    params->noobject_scale = options.real("noobject_scale", params->noobject_scale);
    params->class_scale = options.real("class_scale", params->class_scale);
    params->bias_match = options.flag("bias_match");
    params->rescore = options.flag("rescore");
    params->focal_loss = options.flag("focal_loss");
    accept_augmentation(options);
    options.accept({"absolute", "log", "sqrt", "mask_scale"});  // Darknet reads them to no effect
    node.params = params;
}

void infer(const Graph& graph, Node& node) {
    const auto& params = node.as<RegionParams>();
    check_head_channels(graph, node, params.classes + params.coords + 1, params.num, "classes + 5");
    node.out = node.in;
}

std::string describe(const Node& node) {
    return text(node.as<RegionParams>().classes, " classes, ", node.as<RegionParams>().num, " anchors");
}

int classes(const Node& node) {
    const auto& params = node.as<RegionParams>();
    return params.map.empty() ? params.classes : static_cast<int>(params.map.size());
}

// A tree fixes the number of classes.
int entries(const Node& node) {
    const auto& params = node.as<RegionParams>();
    return params.tree.parent.empty() ? params.classes + params.coords + 1 : 0;
}

}  // namespace

const LayerDef& layer_region() {
    static const LayerDef def = [] {
        LayerDef layer{Kind::region, "region", {"region"}, parse, infer};
        layer.head = layer.keeps_float = true;
        layer.describe = describe;
        layer.classes = classes;
        layer.entries = entries;
        layer.decode = decode_region;
        layer.loss = region_loss;
        return layer;
    }();
    return def;
}

}  // namespace dn
