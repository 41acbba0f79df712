// SPDX-License-Identifier: Apache-2.0
#include "train.hpp"

#include <algorithm>

#include "../losses/loss.hpp"

namespace dn {
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

TrainActivations::TrainActivations(const Graph& graph, int batch, int frozen_before,
                                   const std::function<DType(int node)>& type)
    : graph_(graph), batch_(batch), frozen_before_(frozen_before) {
    const std::vector<int> last = last_readers(graph);
    const int end = static_cast<int>(graph.nodes.size());
    for (int node = -1; node < end; ++node) {
        values_.push_back({graph.shape_of(node), type(node), -1, end, 0});
        // Backward runs in time end - node. The input has no delta.
        deltas_.push_back({node < 0 ? Shape{} : graph.shape_of(node), type(node), end - last[node + 1],
                           std::min(end - node, end), 0});
    }
    value_bytes_ = pack_arena(values_, batch_);
    delta_bytes_ = pack_arena(deltas_, batch_);
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

std::vector<DeltaFlow> find_delta_flow(const Graph& graph) {
    std::vector<DeltaFlow> flow(graph.nodes.size());
    for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
        DeltaFlow& own = flow[node->index];
        own.receives = own.reached;
        if (owns_cost(*node)) own.reached = true;
        if (node->only_forward) own.reached = false;
        for (int input : node->inputs) {
            const bool first = own.reached && input >= 0 && !flow[input].reached;
            own.overwrite.push_back(first);
            if (first) flow[input].reached = true;
        }
    }
    return flow;
}

}  // namespace dn
