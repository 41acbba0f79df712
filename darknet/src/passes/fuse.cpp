// SPDX-License-Identifier: Apache-2.0
// Fusion of shortcuts: convolution (-> dropout) -> shortcut becomes one convolution that adds the other source itself;
// of bottlenecks: convolutions 1x1 -> depthwise -> 1x1 become one step; and of pairs of convolutions.
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

bool can_fuse(const FusedGraph& fused, const Node& shortcut, const std::vector<int>& readers) {
    const Graph& graph = fused.graph;
    if (shortcut.kind != Kind::shortcut || shortcut.inputs.size() != 2) return false;
    if (shortcut.as<ShortcutParams>().weights_per_source != 0) return false;
    const int producer = find_producer(graph, shortcut.inputs[0], readers), other = shortcut.inputs[1];
    if (producer < 0 || other >= producer) return false;
    const Node& conv = graph.nodes[producer];
    if (conv.kind != Kind::convolutional || fused.of(producer).residual != -2) return false;
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
int find_private_source(const FusedGraph& fused, const Node& node, const std::vector<int>& readers) {
    if (node.inputs.size() != 1 || node.inputs[0] < 0) return -1;
    const int source = node.inputs[0];
    return readers[source] == 1 && fused.of(source).residual == -2 ? source : -1;
}

}  // namespace

const std::vector<int>& FusedGraph::inputs(const Node& node) const {
    const int first = of(node.index).first;
    return first < 0 ? node.inputs : graph.nodes[first].inputs;
}

bool FusedGraph::shares_source(const Node& node) const {
    return of(node.index).computed_elsewhere || is_pass_through(node);
}

void fuse_shortcuts(FusedGraph& fused, const std::vector<int>& wanted) {
    const std::vector<int> readers = count_readers(fused.graph, wanted);
    for (const Node& node : fused.graph.nodes) {
        if (!can_fuse(fused, node, readers)) continue;
        Fusion& conv = fused.of(find_producer(fused.graph, node.inputs[0], readers));
        conv.residual = node.inputs[1];
        conv.residual_activation = node.as<ShortcutParams>().activation;
        fused.of(node.index).computed_elsewhere = true;
    }
}

void fuse_bottlenecks(FusedGraph& fused, const std::vector<int>& wanted,
                      const std::function<bool(const Bottleneck&)>& accepts) {
    const std::vector<Node>& nodes = fused.graph.nodes;
    const std::vector<int> readers = count_readers(fused.graph, wanted);
    for (const Node& project : nodes) {
        if (!is_pointwise(project)) continue;
        const int middle = find_private_source(fused, project, readers);
        if (middle < 0 || !is_depthwise(nodes[middle])) continue;
        const int first = find_private_source(fused, nodes[middle], readers);
        if (first < 0 || !is_pointwise(nodes[first])) continue;
        Fusion &expand = fused.of(first), &depthwise = fused.of(middle);
        if (expand.computed_elsewhere || expand.depthwise >= 0) continue;
        if (!accepts({nodes[first], nodes[middle], project})) continue;
        fused.of(project.index).first = first;
        fused.of(project.index).depthwise = middle;
        expand.computed_elsewhere = depthwise.computed_elsewhere = true;
    }
}

void fuse_pairs(FusedGraph& fused, const std::vector<int>& wanted,
                const std::function<bool(const ConvPair&)>& accepts) {
    const std::vector<Node>& nodes = fused.graph.nodes;
    const std::vector<int> readers = count_readers(fused.graph, wanted);
    for (const Node& second : nodes) {
        if (second.kind != Kind::convolutional) continue;
        const int first = find_private_source(fused, second, readers);
        if (first < 0 || nodes[first].kind != Kind::convolutional) continue;
        const bool computes_others = fused.of(first).first >= 0 || fused.of(second.index).first >= 0;
        if (computes_others || fused.of(first).computed_elsewhere || !accepts({nodes[first], second})) continue;
        fused.of(second.index).first = first;
        fused.of(first).computed_elsewhere = true;
    }
}

std::vector<bool> find_needed(const FusedGraph& fused, const std::vector<int>& wanted) {
    const std::vector<Node>& nodes = fused.graph.nodes;
    std::vector<bool> needed(nodes.size(), false);
    for (int node : wanted) needed[node] = true;
    for (auto node = nodes.rbegin(); node != nodes.rend(); ++node)
        if (needed[node->index])
            for (int input : fused.inputs(*node))
                if (input >= 0) needed[input] = true;
    return needed;
}

}  // namespace dn
