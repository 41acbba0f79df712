// SPDX-License-Identifier: Apache-2.0
// Where an inference plan keeps its activations: the type and place of every output in one arena of the device.
#pragma once

#include <cstddef>
#include <vector>

#include "../../passes/passes.hpp"
#include "../backend.hpp"

namespace dn::cuda {

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
    bool keeps_float(int index) const;

    FusedGraph fused_;
    int batch_;
    DType compute_ = DType::f32;
    Placement placement_;
    std::size_t arena_bytes_ = 0;
};

}  // namespace dn::cuda
