// SPDX-License-Identifier: Apache-2.0
// The numbers of a network: one array per ArraySpec of each node, float32, shared between clones.
#pragma once

#include <memory>
#include <vector>

#include "graph.hpp"

namespace dn {

using Floats = std::vector<float>;

struct NodeParameters {
    Floats biases, scales, means, variances, weights;  // empty where the node has none
    Floats& array(Role role);
    const Floats& array(Role role) const;
};

// Indexed like Graph::nodes. A node that shares another's weights (share_index) holds nothing: see of().
struct Parameters {
    std::vector<NodeParameters> nodes;
    std::uint64_t seen = 0;     // images processed in training, from the file's header
    std::uint64_t version = 0;  // grows with every change of the values: compiled plans have folded and packed them

    const NodeParameters& of(const Graph& graph, int node) const;
    NodeParameters& of(const Graph& graph, int node);
};

// The node whose weights `node` uses: itself, or the one that its share_index names.
int weights_owner(const Graph& graph, int node);

// Allocates and initialises every array that is still empty, so that a file covering the whole network costs nothing:
//     Parameters p; read_weights(path, graph, p); initialise_missing(graph, p, seed);
void initialise_missing(const Graph& graph, Parameters& parameters, std::uint64_t seed);

// Allocates and initialises as Darknet does: weights random by fan-in (from `seed`), biases 0, scales 1,
// means 0, variances 1 (Darknet's 0 multiplies an unloaded layer by 316; Trainer begins at it all the same).
std::shared_ptr<Parameters> initial_parameters(const Graph& graph, std::uint64_t seed);

}  // namespace dn
