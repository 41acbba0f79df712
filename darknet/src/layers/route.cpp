// SPDX-License-Identifier: Apache-2.0
// [route]: concatenates layers along the channels, or a group of the channels of each.
#include "layer.hpp"

#include "../error.hpp"

namespace dn {
namespace {

void parse(CfgOptions& options, const Graph&, Node& node) {
    auto params = std::make_shared<RouteParams>();
    const std::vector<int> layers = options.integers("layers");
    if (layers.empty()) options.fail("layers", "is missing; expected the layers to concatenate, such as layers=-1,61");
    node.inputs.clear();
    for (int reference : layers) node.inputs.push_back(resolve_reference(options, "layers", node, reference));
    params->groups = options.integer("groups", 1, 1, 1 << 20);
    params->group_id = options.integer("group_id", 0, 0, params->groups - 1);
    options.accept({"stream", "wait_stream"});  // hints for CUDA streams
    node.params = params;
}

void infer(const Graph& graph, Node& node) {
    const auto& params = node.as<RouteParams>();
    long long channels = 0;
    for (int source : node.inputs) {
        const Shape shape = graph.shape_of(source);
        if (shape.h != node.in.h || shape.w != node.in.w)
            shape_error(node, text("layer ", source, " is ", shape.w, " x ", shape.h, ", expected ", node.in.w, " x ",
                                   node.in.h, " as layer ", node.inputs[0]));
        if (shape.c % params.groups != 0)
            shape_error(
                node, text("groups=", params.groups, " does not divide the ", shape.c, " channels of layer ", source));
        channels += shape.c / params.groups;
    }
    node.out = checked_shape(node, channels, node.in.h, node.in.w);
}

bool pass_through(const Node& node) { return node.inputs.size() == 1 && node.as<RouteParams>().groups == 1; }

std::string describe(const Node& node) {
    const auto& params = node.as<RouteParams>();
    return describe_inputs(node, 0) + (params.groups > 1 ? text(" part ", params.group_id, "/", params.groups) : "");
}

}  // namespace

const LayerDef& layer_route() {
    static const LayerDef def = [] {
        LayerDef layer{Kind::route, "route", {"route"}, parse, infer};
        layer.pass_through = pass_through;
        layer.describe = describe;
        return layer;
    }();
    return def;
}

}  // namespace dn
