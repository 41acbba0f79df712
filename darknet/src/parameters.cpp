// SPDX-License-Identifier: Apache-2.0
// Parameter arrays: who owns them, and what they hold before a file is read.
#include "parameters.hpp"

#include <cmath>

#include "error.hpp"
#include "random.hpp"

namespace dn {
namespace {

// Uniform in mean +- radius.
void fill_uniform(Floats& values, float mean, float radius, std::uint64_t stream) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = mean + radius * (2 * uniform(stream, i) - 1);
}

// Darknet's start: uniform within the root of 2 / fan-in.
void fill_by_fan_in(Floats& values, std::size_t fan_in, std::uint64_t stream) {
    fill_uniform(values, 0, std::sqrt(2.0f / static_cast<float>(fan_in)), stream);
}

void fill_weights(const Node& node, Floats& weights, std::uint64_t stream) {
    switch (node.kind) {
        case Kind::shortcut:
            weights.assign(weights.size(), 1.0f);
            break;
        case Kind::implicit:
            fill_uniform(weights, node.as<ImplicitParams>().mean, node.as<ImplicitParams>().std, stream);
            break;
        case Kind::convolutional:
            fill_by_fan_in(weights, weights.size() / node.out.c, stream);
            break;
        case Kind::connected:
            fill_by_fan_in(weights, node.in.size(), stream);
            break;
        case Kind::local: {
            const std::size_t size = node.as<LocalParams>().size;
            fill_by_fan_in(weights, size * size * node.in.c, stream);
            break;
        }
        default:
            throw Error(Status::internal, node.where, "no initial weights are defined for this layer");
    }
}

}  // namespace

Role parse_role(const std::string& name) {
    for (const Role role : kRoles)
        if (name == role_name(role)) return role;
    throw Error(
        Status::invalid_argument, "",
        text("found array \"", name, "\", expected \"biases\", \"scales\", \"means\", \"variances\" or \"weights\""));
}

int weights_owner(const Graph& graph, int node) {
    if (graph.nodes[node].kind != Kind::convolutional) return node;
    const int shared = graph.nodes[node].as<ConvolutionalParams>().share_index;
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
            if (spec.role == Role::weights) fill_weights(node, values, mix(seed) + mix(node.index + 1));
        }
    }
}

std::shared_ptr<Parameters> initial_parameters(const Graph& graph, std::uint64_t seed) {
    auto parameters = std::make_shared<Parameters>();
    initialise_missing(graph, *parameters, seed);
    return parameters;
}

}  // namespace dn
