// SPDX-License-Identifier: Apache-2.0
#include "activations.hpp"

#include "../../layers/layer.hpp"
#include "kernel_context.hpp"

namespace dn::cuda {

Activations::Activations(const Graph& graph, const PlanOptions& options)
    : fused_(graph), batch_(options.batch), compute_(type_of(options.precision)) {
    fuse_shortcuts(fused_, options.wanted);
    PlacementRules rules;
    rules.type = [this](int node) { return node >= 0 && keeps_float(node) ? DType::f32 : compute_; };
    rules.reads_slices = [](const Node& node) { return !convolves_on_device(node); };
    rules.writes_slices = convolves_on_device;
    rules.in_place = [](const Node& node, std::size_t input) {
        if (input >= node.inputs.size()) return true;  // the residual of a fused shortcut
        return layer_def(node.kind).element_wise && node.inputs[input] >= 0 && node.kind != Kind::convolutional;
    };
    placement_ = place_outputs(fused_, options.wanted, rules);
    arena_bytes_ = pack_arena(placement_.buffers, batch_);
}

// A node that shares its source's place has its type.
bool Activations::keeps_float(int index) const {
    const Node& node = fused_.graph.nodes[index];
    if (!fused_.shares_source(node)) return layer_def(node.kind).keeps_float;
    return node.inputs[0] >= 0 && keeps_float(node.inputs[0]);
}

Tensor Activations::tensor(int node, std::byte* arena) const {
    return tensor_in(fused_, placement_, node, batch_, arena);
}

}  // namespace dn::cuda
