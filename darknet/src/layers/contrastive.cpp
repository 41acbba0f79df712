// SPDX-License-Identifier: Apache-2.0
// [contrastive]: a loss over the embeddings of a [yolo] head; at inference its input passes through.
#include "layer.hpp"

#include "../error.hpp"

namespace dn {
namespace {

void parse(CfgOptions& options, const Graph& graph, Node& node) {
    auto params = std::make_shared<ContrastiveParams>();
    params->classes = options.integer("classes", params->classes, 1, 1 << 24);
    if (!options.has("yolo_layer"))
        options.fail("yolo_layer", "is missing; expected the [yolo] layer of the embeddings");
    params->yolo_layer = resolve_reference(options, "yolo_layer", node, options.integer("yolo_layer", 0));
    if (graph.nodes[params->yolo_layer].kind != Kind::yolo)
        options.fail("yolo_layer", text("layer ", params->yolo_layer, " is ", graph.nodes[params->yolo_layer].where,
                                        ", expected a [yolo]"));
    params->temperature = options.real("temperature", params->temperature);
    params->cls_normalizer = options.real("cls_normalizer", params->cls_normalizer);
    params->max_delta = options.real("max_delta", params->max_delta);
    params->neg_max = options.integer("contrastive_neg_max", params->neg_max, 0, 1 << 24);
    node.params = params;
}

void infer(const Graph& graph, Node& node) {
    const int head = node.as<ContrastiveParams>().yolo_layer;
    const int embedding = graph.nodes[head].as<YoloParams>().embedding_layer;
    if (embedding < 0)
        shape_error(node, text("the head at ", graph.nodes[head].where, " has no embedding_layer to learn from"));
    if (graph.shape_of(embedding) != node.in)
        shape_error(node,
                    text("its input must have the shape of the embeddings, which are ", graph.nodes[embedding].where));
    node.out = node.in;
}

}  // namespace

const LayerDef& layer_contrastive() {
    static const LayerDef def = [] {
        LayerDef layer{Kind::contrastive, "contrastive", {"contrastive"}, parse, infer};
        layer.keeps_float = true;
        layer.untrainable = "its loss over embeddings is not implemented; remove the section to train the rest";
        return layer;
    }();
    return def;
}

}  // namespace dn
