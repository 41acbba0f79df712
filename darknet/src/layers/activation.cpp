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

}  // namespace

const LayerDef& layer_activation() {
    static const LayerDef def{Kind::activation, "activation", {"activation"}, parse, infer};
    return def;
}

}  // namespace dn
