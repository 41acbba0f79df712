// SPDX-License-Identifier: Apache-2.0
#include "activations.hpp"

#include "../../layers/layer.hpp"

namespace dn::cuda {

Activations::Activations(const Graph& graph, const PlanOptions& options) : fused_(graph), batch_(options.batch) {
    PlacementRules rules;
    rules.type = [this](int) { return compute_; };
    rules.reads_slices = [](const Node&) { return true; };
    rules.writes_slices = [](const Node&) { return false; };
    rules.in_place = [](const Node& node, std::size_t input) {
        return input < node.inputs.size() && layer_def(node.kind).element_wise && node.inputs[input] >= 0;
    };
    placement_ = place_outputs(fused_, options.wanted, rules);
    arena_bytes_ = pack_arena(placement_.buffers, batch_);
}

std::vector<bool> Activations::needed(const std::vector<int>& wanted) const {
    const std::vector<Node>& nodes = fused_.graph.nodes;
    std::vector<bool> needed(nodes.size(), false);
    for (const int node : wanted) needed[node] = true;
    for (auto node = nodes.rbegin(); node != nodes.rend(); ++node)
        if (needed[node->index])
            for (const int input : fused_.inputs(*node))
                if (input >= 0) needed[input] = true;
    return needed;
}

Tensor Activations::tensor(int node, std::byte* arena) const {
    const Place& place = placement_.of(node);
    const Buffer& buffer = placement_.buffers[place.buffer];
    Tensor tensor;
    tensor.data = arena + buffer.start + place.offset * bytes(buffer.type);
    tensor.type = buffer.type;
    tensor.n = batch_;
    tensor.shape = fused_.graph.shape_of(node);
    tensor.pitch = buffer.shape.c;
    return tensor;
}

}  // namespace dn::cuda
