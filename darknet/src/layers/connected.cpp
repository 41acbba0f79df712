// SPDX-License-Identifier: Apache-2.0
// [connected]: every output sees every input.
#include "layer.hpp"

namespace dn {
namespace {

void parse(CfgOptions& options, const Graph&, Node& node) {
    auto params = std::make_shared<ConnectedParams>();
    params->output = options.integer("output", 1, 1, 1 << 24);
    params->activation = parse_activation(options, "activation", Activation::logistic);
    params->batch_normalize = options.flag("batch_normalize");
    node.params = params;
}

void infer(const Graph&, Node& node) {
    const auto& params = node.as<ConnectedParams>();
    const std::size_t n = params.output;
    node.out = {params.output, 1, 1};
    node.arrays = {{Role::biases, n}, {Role::weights, checked_count(node, {n, node.in.size()})}};
    // Unlike a convolution's, they stand behind the weights.
    if (params.batch_normalize)
        for (Role role : {Role::scales, Role::means, Role::variances}) node.arrays.push_back({role, n});
}

}  // namespace

const LayerDef& layer_connected() {
    static const LayerDef def{Kind::connected, "connected", {"connected", "conn"}, parse, infer};
    return def;
}

}  // namespace dn
