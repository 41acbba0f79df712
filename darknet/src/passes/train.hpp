// SPDX-License-Identifier: Apache-2.0
// Passes of a training plan over a graph: where activations and their deltas are kept, and the order in which the
// backward pass writes deltas. As those of inference they know no backend.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "passes.hpp"

namespace dn {

// The type and place of every output in one arena, of every delta in another. Outputs are all kept for the backward
// pass; deltas that are never alive together share bytes. Takes no memory for the activations themselves.
class TrainActivations {
public:
    // The graph outlives it. type(node): of the output and its delta; -1: of the network's input.
    TrainActivations(const Graph& graph, int batch, int frozen_before, const std::function<DType(int node)>& type);

    std::size_t value_bytes() const { return value_bytes_; }
    std::size_t delta_bytes() const { return delta_bytes_; }
    // The output of a node (-1: the network's input) in these arenas; without a delta where the node is not trained.
    Tensor tensor(int node, std::byte* values, std::byte* deltas) const;

private:
    const Graph& graph_;
    int batch_, frozen_before_;
    std::vector<Buffer> values_, deltas_;  // by node + 1
    std::size_t value_bytes_, delta_bytes_;
};

// A node's part in the backward pass.
struct DeltaFlow {
    bool reached = false;         // a loss depends on its output: it has a delta, and runs backward
    bool receives = false;        // layers behind it write that delta
    std::vector<bool> overwrite;  // by input: this node is the first to write its delta, and must fill all of it
};

// By node.
std::vector<DeltaFlow> find_delta_flow(const Graph& graph);

}  // namespace dn
