// SPDX-License-Identifier: Apache-2.0
// [sam]: spatial attention, the product of two layers of one shape. inputs: the gate, then `from`.
#include "layer.hpp"

#include "../error.hpp"

namespace dn {
namespace {

void parse(CfgOptions& options, const Graph&, Node& node) {
    auto params = std::make_shared<SamParams>();
    if (!options.has("from")) options.fail("from", "is missing; expected the layer to multiply by");
    node.inputs.push_back(resolve_reference(options, "from", node, options.integer("from", 0)));
    params->activation = parse_activation(options, "activation", Activation::linear);
    node.params = params;
}

void infer(const Graph& graph, Node& node) {
    const Shape from = graph.shape_of(node.inputs[1]);
    if (from != node.in)
        shape_error(node, text("layer ", node.inputs[1], " is ", from.w, " x ", from.h, " x ", from.c, ", expected ",
                               node.in.w, " x ", node.in.h, " x ", node.in.c, " as the layer before"));
    node.out = node.in;
}

std::string describe(const Node& node) { return "x " + describe_inputs(node, 1); }

}  // namespace

const LayerDef& layer_sam() {
    static const LayerDef def = [] {
        LayerDef layer{Kind::sam, "sam", {"sam"}, parse, infer};
        layer.element_wise = true;
        layer.describe = describe;
        return layer;
    }();
    return def;
}

}  // namespace dn
