// SPDX-License-Identifier: Apache-2.0
// Placement: decides which buffer, and which channels of it, each output lives in, so that routes and pass-through
// layers cost nothing where possible and element-wise layers overwrite what is no longer needed.
#include <algorithm>

#include "../layers/layer.hpp"
#include "passes.hpp"

namespace dn {
namespace {

// Values are the outputs of nodes and the network's input: value v is that of node v - 1.
std::size_t value_of(int node) { return static_cast<std::size_t>(node + 1); }

int group_size(const Graph& graph, const Node& route, std::size_t input) {
    return graph.shape_of(route.inputs[input]).c / route.as<RouteParams>().groups;
}

class Placer {
public:
    Placer(const FusedGraph& fused, const std::vector<int>& wanted, const PlacementRules& rules)
        : fused_(fused), graph_(fused.graph), rules_(rules), values_(graph_.nodes.size() + 1) {
        for (std::size_t v = 0; v < values_.size(); ++v) values_[v].storage = {v, 0};
        for (int node : wanted) values_[value_of(node)].wanted = true;
    }

    Placement run() {
        share_contents();
        for (const Node& node : graph_.nodes)
            if (node.kind == Kind::route && node.inputs.size() > 1) place_in_concat(node);
        for (const Node& node : graph_.nodes) overwrite_source(node);
        return make_buffers();
    }

private:
    struct Value {
        bool wanted = false;        // its content must survive to the end
        bool same_content = false;  // as `parent`: a pass-through, fused shortcut or view
        std::size_t parent = 0;     // the value whose storage holds this one, when `placed`
        bool placed = false;
        std::pair<std::size_t, int> storage;  // the value that owns it in the end, and the channel this one begins at
        std::vector<int> readers;             // nodes that read the content, through aliases and views too
    };

    int last_node() const { return static_cast<int>(graph_.nodes.size()); }

    std::pair<std::size_t, int> storage(std::size_t v) const { return values_[v].storage; }

    // The value that first held this content in this place.
    std::size_t content(std::size_t v) const {
        while (values_[v].same_content) v = values_[v].parent;
        return v;
    }

    // v, until now a storage of its own, goes into the parent's with all that lies in it.
    void put(std::size_t v, std::size_t parent, int offset) {
        values_[v].placed = true;
        values_[v].parent = parent;
        const auto [root, first] = storage(parent);
        for (Value& value : values_)
            if (value.storage.first == v) value.storage = {root, value.storage.second + offset + first};
    }

    bool all_read_slices(const std::vector<int>& readers) const {
        return std::all_of(readers.begin(), readers.end(),
                           [&](int reader) { return rules_.reads_slices(graph_.nodes[reader]); });
    }

    // A route of one source with groups > 1 is a view of it if no reader needs it dense.
    bool is_view(const Node& node) const {
        return node.kind == Kind::route && node.inputs.size() == 1 &&
               rules_.type(node.index) == rules_.type(node.inputs[0]) &&
               all_read_slices(values_[value_of(node.index)].readers);
    }

    // From the last node to the first, so that all readers of a node are known when it is decided.
    void share_contents() {
        for (auto node = graph_.nodes.rbegin(); node != graph_.nodes.rend(); ++node) {
            Value& value = values_[value_of(node->index)];
            const bool shared = fused_.shares_source(*node), view = !shared && is_view(*node);
            if (!view && !shared) {
                const int residual = fused_.of(node->index).residual;
                for (int input : fused_.inputs(*node)) values_[value_of(input)].readers.push_back(node->index);
                if (residual != -2) values_[value_of(residual)].readers.push_back(node->index);
                continue;
            }
            const std::size_t source = value_of(node->inputs[0]);
            put(value_of(node->index), source,
                view ? node->as<RouteParams>().group_id * group_size(graph_, *node, 0) : 0);
            value.same_content = true;
            Value& from = values_[source];
            from.readers.insert(from.readers.end(), value.readers.begin(), value.readers.end());
            from.wanted = from.wanted || value.wanted;
        }
    }

    // Lets the sources of a concatenation write into it.
    void place_in_concat(const Node& route) {
        int offset = 0;
        for (std::size_t i = 0; i < route.inputs.size(); offset += group_size(graph_, route, i), ++i) {
            if (route.as<RouteParams>().groups != 1 || route.inputs[i] < 0) continue;
            const std::size_t source = content(value_of(route.inputs[i]));
            if (source == 0 || values_[source].placed) continue;
            const Node& producer = graph_.nodes[source - 1];
            if (producer.out != graph_.shape_of(route.inputs[i]) || !rules_.writes_slices(producer)) continue;
            if (rules_.type(producer.index) != rules_.type(route.index)) continue;
            if (all_read_slices(values_[source].readers)) put(source, value_of(route.index), offset);
        }
    }

    // v fills its storage, and nothing is written or read there after `node`.
    bool last_use(std::size_t v, const Node& node) const {
        const auto [root, offset] = storage(v);
        if (root == 0 || offset != 0) return false;
        if (graph_.shape_of(static_cast<int>(root) - 1) != graph_.shape_of(static_cast<int>(v) - 1)) return false;
        for (std::size_t other = 0; other < values_.size(); ++other) {
            if (storage(other).first != root) continue;
            const bool written_later = other > value_of(node.index) && !values_[other].same_content;
            if (values_[other].wanted || written_later) return false;
            for (int reader : values_[other].readers)
                if (reader > node.index) return false;
        }
        return true;
    }

    // Another input than the i-th lies in the same storage; i = inputs.size() stands for the residual.
    bool shared_with_other_input(const Node& node, std::size_t i, std::size_t source) const {
        const std::vector<int>& inputs = fused_.inputs(node);
        for (std::size_t other = 0; other < inputs.size(); ++other)
            if (other != i && storage(value_of(inputs[other])).first == storage(source).first) return true;
        return false;
    }

    void overwrite_source(const Node& node) {
        const std::size_t v = value_of(node.index);
        if (values_[v].placed || node.kind == Kind::route) return;
        const std::vector<int>& inputs = fused_.inputs(node);
        for (std::size_t i = 0; i <= inputs.size(); ++i) {
            const int input = i < inputs.size() ? inputs[i] : fused_.of(node.index).residual;
            if (input < 0 || !rules_.in_place(node, i)) continue;
            if (graph_.shape_of(input) != node.out || rules_.type(input) != rules_.type(node.index)) continue;
            const std::size_t source = value_of(input);
            if (!last_use(source, node) || shared_with_other_input(node, i, source)) continue;
            put(v, content(source), 0);
            return;
        }
    }

    Placement make_buffers() const {
        Placement placement;
        placement.places.resize(values_.size());
        std::vector<int> buffer_of(values_.size(), -1);
        for (std::size_t v = 0; v < values_.size(); ++v) {
            const auto [root, offset] = storage(v);
            const int node = static_cast<int>(v) - 1, root_node = static_cast<int>(root) - 1;
            if (buffer_of[root] < 0) {
                buffer_of[root] = static_cast<int>(placement.buffers.size());
                placement.buffers.push_back({graph_.shape_of(root_node), rules_.type(root_node), node, node});
            }
            placement.places[v] = {buffer_of[root], offset};
            Buffer& buffer = placement.buffers[buffer_of[root]];
            buffer.last = std::max(buffer.last, values_[v].wanted ? last_node() : node);
            for (int reader : values_[v].readers) buffer.last = std::max(buffer.last, reader);
        }
        return placement;
    }

    const FusedGraph& fused_;
    const Graph& graph_;
    const PlacementRules& rules_;
    std::vector<Value> values_;
};

}  // namespace

bool is_pass_through(const Node& node) {
    const auto pass_through = layer_def(node.kind).pass_through;
    return pass_through && pass_through(node);
}

Placement place_outputs(const FusedGraph& fused, const std::vector<int>& wanted, const PlacementRules& rules) {
    return Placer(fused, wanted, rules).run();
}

}  // namespace dn
