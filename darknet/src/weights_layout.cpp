// SPDX-License-Identifier: Apache-2.0
#include "weights_layout.hpp"

#include <cmath>
#include <limits>

#include "error.hpp"
#include "layers/layer.hpp"

namespace dn {
namespace {

bool is_scale_array(Role role) { return role == Role::scales || role == Role::means || role == Role::variances; }

void append(const Node& node, const ArraySpec& array, WeightsLayout& layout) {
    if (array.count > std::numeric_limits<std::uint64_t>::max() / sizeof(float) - layout.floats)
        throw Error(Status::cfg, node.where, "the network has more parameters than a file can hold");
    layout.entries.push_back({node.index, array, layout.floats});
    layout.floats += array.count;
}

// A head's classes, and how many floats of the file one class more would cost.
struct ClassCost {
    int classes = 0;
    std::uint64_t floats = 0;
};

// Nothing ({0, 0}) where the head is not fed by a convolution of its own, or its class count is not free.
ClassCost class_cost(const Graph& graph, const Node& head) {
    const LayerDef& def = layer_def(head.kind);
    const int producer = head.inputs.at(0), entries = def.entries ? def.entries(head) : 0;
    if (entries == 0 || producer < 0 || graph.nodes[producer].kind != Kind::convolutional) return {};
    const Node& convolution = graph.nodes[producer];
    const std::uint64_t per_filter = convolution.parameter_count() / convolution.as<ConvolutionalParams>().filters;
    return {def.classes(head), per_filter * (head.in.c / entries)};
}

// The class count with which this network would have exactly `floats` parameters; 0: none.
int fitting_classes(const Graph& graph, std::uint64_t expected, std::uint64_t floats) {
    constexpr long long max_classes = 100000;
    ClassCost total;
    for (int index : graph.heads()) {
        const ClassCost cost = class_cost(graph, graph.nodes[index]);
        if (cost.floats == 0 || (total.classes != 0 && cost.classes != total.classes)) return 0;
        total.classes = cost.classes;
        total.floats += cost.floats;
    }
    if (total.floats == 0) return 0;
    const auto difference = static_cast<long long>(floats - expected);  // wraps to the signed difference
    const auto step = static_cast<long long>(total.floats);
    if (step <= 0 || difference % step != 0) return 0;
    const long long classes = total.classes + difference / step;
    return classes >= 1 && classes <= max_classes ? static_cast<int>(classes) : 0;
}

std::string class_hint(const Graph& graph, std::uint64_t expected, std::uint64_t floats) {
    const int classes = fitting_classes(graph, expected, floats);
    if (classes == 0) return "";
    return text(" Its size fits this network with classes=", classes,
                " exactly: set classes in every head, and filters in the convolution before each, to match the file.");
}

// Files made by this network with every layer written, while the cfg skips some in reading.
std::string dontload_hint(const Graph& graph, const WeightsLayout& layout, std::uint64_t floats) {
    const std::uint64_t all = layout_to_write(graph, -1).floats;
    if (all == layout.floats || all != floats) return "";
    return " It also holds the layers or arrays marked dontload and dontloadscales: remove these keys to read it.";
}

[[noreturn]] void left_over(const Graph& graph, const WeightsLayout& layout, std::uint64_t floats,
                            const std::string& path) {
    std::string hint = dontload_hint(graph, layout, floats) + class_hint(graph, layout.floats, floats);
    if (hint.empty()) hint = " It belongs to another network.";
    throw Error(Status::weights, path,
                text("holds ", floats, " floats, ", floats - layout.floats, " more than the ", layout.floats, " of ",
                     graph.file, ".", hint));
}

// First and last+1 float of the layer that entry `i` belongs to.
struct Span {
    std::uint64_t begin, end;
};

Span layer_span(const WeightsLayout& layout, std::size_t i) {
    std::size_t first = i, last = i;
    while (first > 0 && layout.entries[first - 1].node == layout.entries[i].node) --first;
    while (last + 1 < layout.entries.size() && layout.entries[last + 1].node == layout.entries[i].node) ++last;
    return {layout.entries[first].offset, layout.entries[last].offset + layout.entries[last].array.count};
}

[[noreturn]] void ends_inside(const Graph& graph, const WeightsLayout& layout, std::size_t entry, std::uint64_t floats,
                              const std::string& path) {
    const WeightsEntry& at = layout.entries[entry];
    const Span span = layer_span(layout, entry);
    const double percent =
        100.0 * static_cast<double>(floats - span.begin) / static_cast<double>(span.end - span.begin);
    std::string hint = class_hint(graph, layout.floats, floats);
    if (hint.empty()) hint = " It was cut off, or belongs to another network.";
    throw Error(Status::weights, path,
                text("ends inside ", layer_name(graph.nodes[at.node]), ", in its ", role_name(at.array.role),
                     ", after ", std::round(percent * 10) / 10, " % of the layer: found ", floats, " floats, expected ",
                     layout.floats, " for all ", graph.nodes.size(), " layers.", hint));
}

WeightsLayout layout_of(const Graph& graph, int cutoff, bool skip) {
    WeightsLayout layout;
    for (const Node& node : graph.nodes) {
        if (node.index >= cutoff) break;
        if (skip && node.dont_load) continue;
        for (const ArraySpec& array : node.arrays)
            if (!(skip && node.dont_load_scales && is_scale_array(array.role))) append(node, array, layout);
    }
    return layout;
}

}  // namespace

std::string layer_name(const Node& node) { return text("layer ", node.index, " (", node.where, ")"); }

WeightsLayout layout_to_read(const Graph& graph) {
    return layout_of(graph, static_cast<int>(graph.nodes.size()), true);
}

WeightsLayout layout_to_write(const Graph& graph, int cutoff) {
    return layout_of(graph, cutoff < 0 ? static_cast<int>(graph.nodes.size()) : cutoff, false);
}

int layers_covered(const Graph& graph, const WeightsLayout& layout, std::uint64_t floats, const std::string& path) {
    if (floats > layout.floats) left_over(graph, layout, floats, path);
    if (floats == layout.floats) return static_cast<int>(graph.nodes.size());
    if (floats == 0)
        throw Error(Status::weights, path, text("holds a header and no weights; expected ", layout.floats, " floats"));
    for (std::size_t i = 0; i < layout.entries.size(); ++i) {
        if (floats > layout.entries[i].offset + layout.entries[i].array.count) continue;
        if (floats != layer_span(layout, i).end) ends_inside(graph, layout, i, floats, path);
        return layout.entries[i].node + 1;
    }
    return static_cast<int>(graph.nodes.size());
}

}  // namespace dn
