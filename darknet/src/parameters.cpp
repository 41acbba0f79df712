// SPDX-License-Identifier: Apache-2.0
// Parameter arrays: who owns them, and what they hold before a file is read.
#include "parameters.hpp"

#include "error.hpp"
#include "layers/layer.hpp"
#include "random.hpp"

namespace dn {

Role parse_role(const std::string& name) {
    for (const Role role : kRoles)
        if (name == role_name(role)) return role;
    throw Error(
        Status::invalid_argument, "",
        text("found array \"", name, "\", expected \"biases\", \"scales\", \"means\", \"variances\" or \"weights\""));
}

int weights_owner(const Graph& graph, int node) {
    const int shared = graph.nodes[node].share_index;
    return shared >= 0 ? shared : node;
}

Floats& NodeParameters::array(Role role) {
    return const_cast<Floats&>(static_cast<const NodeParameters&>(*this).array(role));
}

const Floats& NodeParameters::array(Role role) const {
    switch (role) {
        case Role::biases:
            return biases;
        case Role::scales:
            return scales;
        case Role::means:
            return means;
        case Role::variances:
            return variances;
        case Role::weights:
            break;
    }
    return weights;
}

const NodeParameters& Parameters::of(const Graph& graph, int node) const { return nodes[weights_owner(graph, node)]; }

NodeParameters& Parameters::of(const Graph& graph, int node) { return nodes[weights_owner(graph, node)]; }

void initialise_missing(const Graph& graph, Parameters& parameters, std::uint64_t seed) {
    parameters.nodes.resize(graph.nodes.size());
    for (const Node& node : graph.nodes) {
        for (const ArraySpec& spec : node.arrays) {
            Floats& values = parameters.nodes[node.index].array(spec.role);
            if (!values.empty()) continue;
            values.resize(spec.count);
            const bool ones = spec.role == Role::scales || spec.role == Role::variances;
            if (ones) values.assign(spec.count, 1.0f);
            if (const auto fill = layer_def(node.kind).initial_weights; fill && spec.role == Role::weights)
                fill(node, values, mix(seed) + mix(node.index + 1));
        }
    }
}

std::shared_ptr<Parameters> initial_parameters(const Graph& graph, std::uint64_t seed) {
    auto parameters = std::make_shared<Parameters>();
    initialise_missing(graph, *parameters, seed);
    return parameters;
}

}  // namespace dn
