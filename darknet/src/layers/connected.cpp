// SPDX-License-Identifier: Apache-2.0
// [connected]: every output sees every input.
#include "../error.hpp"
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

std::string describe(const Node& node) {
    const auto& params = node.as<ConnectedParams>();
    return text(params.output, " ", activation_name(params.activation));
}

void initial_weights(const Node& node, std::vector<float>& weights, std::uint64_t stream) {
    fill_by_fan_in(weights, node.in.size(), stream);
}

bool transposed(const Node&, bool header_says_so) { return header_says_so; }

}  // namespace

const LayerDef& layer_connected() {
    static const LayerDef def = [] {
        LayerDef layer{Kind::connected, "connected", {"connected", "conn"}, parse, infer};
        layer.describe = describe;
        layer.initial_weights = initial_weights;
        layer.transposed = transposed;
        return layer;
    }();
    return def;
}

}  // namespace dn
