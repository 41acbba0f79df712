// SPDX-License-Identifier: Apache-2.0
// Fusion of shortcuts: convolution (-> dropout) -> shortcut becomes one convolution that adds the other source itself;
// and of bottlenecks: convolutions 1x1 -> depthwise -> 1x1 become one node.
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

// The node whose output `node` passes on, if no other node reads it on the way; otherwise -1.
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

bool is_pointwise(const Node& node) {
    if (node.kind != Kind::convolutional) return false;
    const auto& params = node.as<ConvolutionalParams>();
    return params.size == 1 && params.groups == 1 && params.antialiasing == 0 && node.in.h == node.out.h &&
           node.in.w == node.out.w;
}

bool is_depthwise(const Node& node) {
    if (node.kind != Kind::convolutional) return false;
    const auto& params = node.as<ConvolutionalParams>();
    return params.groups > 1 && params.groups == node.in.c && params.groups == node.out.c && params.antialiasing == 0;
}

// The only producer of `node`, when `node` is its only reader and nothing else is fused into it.
int find_private_source(const Graph& graph, const Node& node, const std::vector<int>& readers) {
    if (node.inputs.size() != 1 || node.inputs[0] < 0) return -1;
    const int source = node.inputs[0];
    return readers[source] == 1 && graph.nodes[source].residual == -2 ? source : -1;
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

void fuse_bottlenecks(Graph& graph, const std::vector<int>& wanted,
                      const std::function<bool(const Bottleneck&)>& accepts) {
    const std::vector<int> readers = count_readers(graph, wanted);
    for (Node& project : graph.nodes) {
        if (!is_pointwise(project)) continue;
        const int middle = find_private_source(graph, project, readers);
        if (middle < 0 || !is_depthwise(graph.nodes[middle])) continue;
        Node& depthwise = graph.nodes[middle];
        const int first = find_private_source(graph, depthwise, readers);
        if (first < 0 || !is_pointwise(graph.nodes[first])) continue;
        Node& expand = graph.nodes[first];
        if (expand.fused_away || expand.depthwise >= 0 || !accepts({expand, depthwise, project})) continue;
        project.expand = first;
        project.depthwise = middle;
        project.inputs = expand.inputs;
        expand.fused_away = depthwise.fused_away = true;
    }
}

}  // namespace dn
