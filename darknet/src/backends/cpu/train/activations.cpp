// SPDX-License-Identifier: Apache-2.0
#include "activations.hpp"

#include <algorithm>

namespace dn::cpu {
namespace {

// The last node that reads each output, by node + 1; the node itself where there is no reader.
std::vector<int> last_readers(const Graph& graph) {
    std::vector<int> last(graph.nodes.size() + 1, -1);
    for (const Node& node : graph.nodes) {
        last[node.index + 1] = std::max(last[node.index + 1], node.index);
        for (int input : node.inputs) last[input + 1] = std::max(last[input + 1], node.index);
    }
    return last;
}

}  // namespace

TrainActivations::TrainActivations(const Graph& graph, const PlanOptions& options)
    : graph_(graph),
      batch_(options.batch),
      frozen_before_(options.training->frozen_before),
      compute_(options.precision == Precision::bf16 ? DType::bf16 : DType::f32) {
    const std::vector<int> last = last_readers(graph);
    const int end = static_cast<int>(graph.nodes.size());
    for (int node = -1; node < end; ++node) {
        values_.push_back({graph.shape_of(node), type_of(node), -1, end, 0});
        // Backward runs in time end - node. The input has no delta.
        deltas_.push_back({node < 0 ? Shape{} : graph.shape_of(node), type_of(node), end - last[node + 1],
                           std::min(end - node, end), 0});
    }
    value_bytes_ = pack_arena(values_, batch_);
    delta_bytes_ = pack_arena(deltas_, batch_);
}

// What feeds a loss stays float32.
DType TrainActivations::type_of(int node) const {
    if (node < 0) return compute_;
    const auto feeds_loss = [&](const Node& other) {
        return owns_cost(other) && std::find(other.inputs.begin(), other.inputs.end(), node) != other.inputs.end();
    };
    const bool feeds = std::any_of(graph_.nodes.begin(), graph_.nodes.end(), feeds_loss);
    return feeds || owns_cost(graph_.nodes[node]) ? DType::f32 : compute_;
}

Tensor TrainActivations::tensor(int node, std::byte* values, std::byte* deltas) const {
    Tensor tensor;
    tensor.data = values + values_[node + 1].start;
    if (node >= 0 && node >= frozen_before_) tensor.delta = deltas + deltas_[node + 1].start;
    tensor.type = values_[node + 1].type;
    tensor.n = batch_;
    tensor.shape = graph_.shape_of(node);
    tensor.pitch = tensor.shape.c;
    return tensor;
}

}  // namespace dn::cpu
