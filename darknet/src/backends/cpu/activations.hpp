// SPDX-License-Identifier: Apache-2.0
// Where an inference plan keeps its activations: what is fused, and the type and place of every output in one arena.
#pragma once

#include <cstddef>
#include <vector>

#include "../../passes/passes.hpp"
#include "cpu.hpp"

namespace dn::cpu {

// Takes no memory for the activations themselves.
class Activations {
public:
    // The graph outlives it; the outputs wanted are named in `options`, and the precision is not `automatic`.
    Activations(const Graph& graph, const PlanOptions& options);

    const FusedGraph& fused() const { return fused_; }
    DType compute() const { return compute_; }
    std::size_t arena_bytes() const { return arena_bytes_; }
    // The output of a node (-1: the network's input) in that arena.
    Tensor tensor(int node, std::byte* arena) const;

private:
    std::vector<DType> choose_types() const;
    DType input_type() const;
    PlacementRules rules(const std::vector<DType>& types) const;

    FusedGraph fused_;
    int batch_;
    DType compute_;
    ConvMethod convolutions_;
    Placement placement_;
    std::size_t arena_bytes_;
};

}  // namespace dn::cpu
