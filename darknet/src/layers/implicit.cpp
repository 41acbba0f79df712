// SPDX-License-Identifier: Apache-2.0
// [implicit]: learned constants, the same for every image; its input is not read.
#include "layer.hpp"

namespace dn {
namespace {

void parse(CfgOptions& options, const Graph&, Node& node) {
    auto params = std::make_shared<ImplicitParams>();
    params->mean = options.real("mean", params->mean);
    params->std = options.real("std", params->std);
    params->filters = options.integer("filters", params->filters, 1, 1 << 20);
    params->atoms = options.integer("atoms", params->atoms, 1, 1 << 20);
    node.params = params;
}

void infer(const Graph&, Node& node) {
    const auto& params = node.as<ImplicitParams>();
    node.out = checked_shape(node, params.filters, params.atoms, 1);
    node.arrays = {{Role::weights, node.out.size()}};
}

void initial_weights(const Node& node, std::vector<float>& weights, std::uint64_t stream) {
    fill_uniform(weights, node.as<ImplicitParams>().mean, node.as<ImplicitParams>().std, stream);
}

}  // namespace

const LayerDef& layer_implicit() {
    static const LayerDef def = [] {
        LayerDef layer{Kind::implicit, "implicit", {"implicit"}, parse, infer};
        layer.initial_weights = initial_weights;
        return layer;
    }();
    return def;
}

}  // namespace dn
