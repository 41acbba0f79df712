// SPDX-License-Identifier: Apache-2.0
// [activation]: an activation on its own.
#include "layer.hpp"

namespace dn {
namespace {

void parse(CfgOptions& options, const Graph&, Node& node) {
    auto params = std::make_shared<ActivationParams>();
    params->activation = parse_activation(options, "activation", Activation::linear);
    node.params = params;
}

void infer(const Graph&, Node& node) { node.out = node.in; }

std::string describe(const Node& node) { return activation_name(node.as<ActivationParams>().activation); }

}  // namespace

const LayerDef& layer_activation() {
    static const LayerDef def = [] {
        LayerDef layer{Kind::activation, "activation", {"activation"}, parse, infer};
        layer.element_wise = true;
        layer.describe = describe;
        return layer;
    }();
    return def;
}

}  // namespace dn
