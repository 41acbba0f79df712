// SPDX-License-Identifier: Apache-2.0
// [contrastive]: a loss over the embeddings of a [yolo] head; at inference its input passes through.
#include <limits>

#include "layer.hpp"

#include "../error.hpp"

namespace dn {
namespace {

void parse(CfgOptions& options, const Graph& graph, Node& node) {
    auto params = std::make_shared<ContrastiveParams>();
    if (!options.has("yolo_layer"))
        options.fail("yolo_layer", "is missing; expected the [yolo] layer of the embeddings");
    params->yolo_layer = resolve_reference(options, "yolo_layer", node, options.integer("yolo_layer", 0));
    if (graph.nodes[params->yolo_layer].kind != Kind::yolo)
        options.fail("yolo_layer", text("layer ", params->yolo_layer, " is ", graph.nodes[params->yolo_layer].where,
                                        ", expected a [yolo]"));
    options.unsupported("classes", 1000);
    options.unsupported("temperature", 1);
    options.unsupported("cls_normalizer", 1);
    options.unsupported("max_delta", std::numeric_limits<float>::max());
    options.unsupported("contrastive_neg_max", 3);
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
