// SPDX-License-Identifier: Apache-2.0
// Fusion of shortcuts: convolution (-> dropout) -> shortcut becomes one convolution that adds the other source itself.
#include <algorithm>

#include "../layers/layer.hpp"
#include "passes.hpp"

namespace dn {
namespace {

bool normalizes_channels(Activation activation) {
    return activation == Activation::normalize_channels || activation == Activation::normalize_channels_softmax ||
           activation == Activation::normalize_channels_softmax_maxval;
}

// Readers of each node, and one more for those in `wanted`.
std::vector<int> count_readers(const Graph& graph, const std::vector<int>& wanted) {
    std::vector<int> readers(graph.nodes.size(), 0);
    for (const Node& node : graph.nodes)
        for (int input : node.inputs)
            if (input >= 0) ++readers[input];
    for (int node : wanted) ++readers[node];
    return readers;
}

// The node whose output `node` passes on, when nobody else reads it on the way; -1 when somebody does.
int find_producer(const Graph& graph, int node, const std::vector<int>& readers) {
    while (node >= 0 && readers[node] == 1 && is_pass_through(graph.nodes[node])) node = graph.nodes[node].inputs[0];
    return node >= 0 && readers[node] == 1 ? node : -1;
}

bool can_fuse(const Graph& graph, const Node& shortcut, const std::vector<int>& readers) {
    if (shortcut.kind != Kind::shortcut || shortcut.inputs.size() != 2) return false;
    if (shortcut.as<ShortcutParams>().weights_per_source != 0) return false;
    const int producer = find_producer(graph, shortcut.inputs[0], readers), other = shortcut.inputs[1];
    if (producer < 0 || other >= producer) return false;
    const Node& conv = graph.nodes[producer];
    if (conv.kind != Kind::convolutional || conv.residual != -2) return false;
    const auto& params = conv.as<ConvolutionalParams>();
    return params.antialiasing == 0 && counts_windows(params, conv.in, conv.out) &&
           !normalizes_channels(params.activation) && !normalizes_channels(shortcut.as<ShortcutParams>().activation) &&
           graph.shape_of(other) == conv.out && shortcut.out == conv.out;
}

}  // namespace

void fuse_shortcuts(Graph& graph, const std::vector<int>& wanted) {
    const std::vector<int> readers = count_readers(graph, wanted);
    for (Node& node : graph.nodes) {
        if (!can_fuse(graph, node, readers)) continue;
        Node& conv = graph.nodes[find_producer(graph, node.inputs[0], readers)];
        conv.residual = node.inputs[1];
        conv.residual_activation = node.as<ShortcutParams>().activation;
        node.fused_away = true;
    }
}

}  // namespace dn
