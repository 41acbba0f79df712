// SPDX-License-Identifier: Apache-2.0
// [scale_channels]: `from` times one factor a channel (squeeze-excite) or a pixel. inputs: the factors, then `from`.
#include "layer.hpp"

#include "../error.hpp"

namespace dn {
namespace {

void parse(CfgOptions& options, const Graph&, Node& node) {
    auto params = std::make_shared<ScaleChannelsParams>();
    if (!options.has("from")) options.fail("from", "is missing; expected the layer to scale");
    node.inputs.push_back(resolve_reference(options, "from", node, options.integer("from", 0)));
    params->scale_wh = options.flag("scale_wh");
    params->activation = parse_activation(options, "activation", Activation::linear);
    node.params = params;
}

void infer(const Graph& graph, Node& node) {
    const bool scale_wh = node.as<ScaleChannelsParams>().scale_wh;
    const Shape from = graph.shape_of(node.inputs[1]);
    const Shape expected = scale_wh ? Shape{1, from.h, from.w} : Shape{from.c, 1, 1};
    if (node.in != expected)
        shape_error(node, text("found factors of ", node.in.w, " x ", node.in.h, " x ", node.in.c, ", expected ",
                               expected.w, " x ", expected.h, " x ", expected.c, " for layer ", node.inputs[1],
                               " with scale_wh=", scale_wh));
    node.out = from;
}

std::string describe(const Node& node) { return "x " + describe_inputs(node, 1); }

}  // namespace

const LayerDef& layer_scale_channels() {
    static const LayerDef def = [] {
        LayerDef layer{Kind::scale_channels, "scale_channels", {"scale_channels"}, parse, infer};
        layer.element_wise = true;
        layer.describe = describe;
        return layer;
    }();
    return def;
}

}  // namespace dn
