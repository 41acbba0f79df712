// SPDX-License-Identifier: Apache-2.0
// [shortcut]: the sum of the layer before and others, weighted or not. inputs: the layer before, then `from`. A source
// may be larger than the layer before by a whole factor, the same in both directions: of each block of factor x factor
// values the first one is added.
#include "layer.hpp"

#include "../error.hpp"

namespace dn {
namespace {

enum class WeightsType { none, per_feature, per_channel };

void parse(CfgOptions& options, const Graph& graph, Node& node) {
    auto params = std::make_shared<ShortcutParams>();
    const std::vector<int> from = options.integers("from");
    if (from.empty()) options.fail("from", "is missing; expected the layers to add, such as from=-3");
    for (int reference : from) node.inputs.push_back(resolve_reference(options, "from", node, reference));
    params->activation = parse_activation(options, "activation", Activation::linear);
    const auto type = parse_choice<WeightsType>(options, "weights_type", WeightsType::none,
                                                {{"none", WeightsType::none},
                                                 {"per_feature", WeightsType::per_feature},
                                                 {"per_layer", WeightsType::per_feature},
                                                 {"per_channel", WeightsType::per_channel}});
    params->normalization =
        parse_choice<WeightsNormalization>(options, "weights_normalization", WeightsNormalization::none,
                                           {{"none", WeightsNormalization::none},
                                            {"relu", WeightsNormalization::relu},
                                            {"avg_relu", WeightsNormalization::relu},
                                            {"softmax", WeightsNormalization::softmax}});
    if (type == WeightsType::per_feature) params->weights_per_source = 1;
    if (type == WeightsType::per_channel) params->weights_per_source = graph.shape_of(node.inputs[0]).c;
    node.params = params;
}

void infer(const Graph& graph, Node& node) {
    const auto& params = node.as<ShortcutParams>();
    for (int source : node.inputs) {
        const Shape shape = graph.shape_of(source);
        const int factor = shape.w / node.in.w;
        if (factor == 0 || shape.w != factor * node.in.w || shape.h != factor * node.in.h)
            shape_error(node, text("layer ", source, " is ", shape.w, " x ", shape.h, ", expected ", node.in.w, " x ",
                                   node.in.h, " as the layer before, or a multiple of both by one factor"));
    }
    node.out = node.in;
    const bool weighted = params.weights_per_source > 0;
    node.flops = 1.0 * (node.inputs.size() - 1) * node.in.size() * (weighted ? 2 : 1);
    node.arrays.clear();
    if (weighted)
        node.arrays.push_back(
            {Role::weights, checked_count(node, {node.inputs.size(), std::size_t(params.weights_per_source)})});
}

std::string describe(const Node& node) {
    return text("+ ", describe_inputs(node, 1), " ", activation_name(node.as<ShortcutParams>().activation));
}

void initial_weights(const Node&, std::vector<float>& weights, std::uint64_t) { weights.assign(weights.size(), 1.0f); }

}  // namespace

const LayerDef& layer_shortcut() {
    static const LayerDef def = [] {
        LayerDef layer{Kind::shortcut, "shortcut", {"shortcut"}, parse, infer};
        layer.element_wise = true;
        layer.clamp_step = true;
        layer.describe = describe;
        layer.initial_weights = initial_weights;
        return layer;
    }();
    return def;
}

}  // namespace dn
