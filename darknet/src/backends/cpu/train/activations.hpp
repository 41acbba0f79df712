// SPDX-License-Identifier: Apache-2.0
// Where a training plan keeps its activations: the type and place of every output in one arena, of every delta in
// another. Outputs are all kept for backward; deltas that are never alive together share bytes.
#pragma once

#include <cstddef>
#include <vector>

#include "../../../passes/passes.hpp"
#include "../../backend.hpp"

namespace dn::cpu {

// Takes no memory for the activations themselves.
class TrainActivations {
public:
    // The graph outlives it; the precision is not `automatic`.
    TrainActivations(const Graph& graph, const PlanOptions& options);

    DType compute() const { return compute_; }
    std::size_t value_bytes() const { return value_bytes_; }
    std::size_t delta_bytes() const { return delta_bytes_; }
    // The output of a node (-1: the network's input) in these arenas; without a delta where the node is not trained.
    Tensor tensor(int node, std::byte* values, std::byte* deltas) const;

private:
    DType type_of(int node) const;

    const Graph& graph_;
    int batch_, frozen_before_;
    DType compute_;
    std::vector<Buffer> values_, deltas_;  // by node + 1
    std::size_t value_bytes_, delta_bytes_;
};

}  // namespace dn::cpu
