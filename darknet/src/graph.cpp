// SPDX-License-Identifier: Apache-2.0
#include "graph.hpp"

#include <algorithm>

#include "error.hpp"
#include "layers/layer.hpp"

namespace dn {
namespace {

constexpr std::size_t kMaxLayers = 10000;

void read_common_keys(CfgOptions& options, Node& node) {
    node.learning_rate = options.real("learning_rate", 1);
    node.clip = options.real("clip", 0);
    node.only_forward = options.flag("onlyforward");
    node.stop_backward = options.integer("stopbackward", 0);
    node.dont_update = options.integer("dont_update", 0);
    node.burnin_update = options.integer("burnin_update", 0);
    node.train_only_bn = options.flag("train_only_bn");
    node.dont_load = options.flag("dontload");
    node.dont_load_scales = options.flag("dontloadscales");
}

// strict: unknown keys are errors.
void report_keys(const CfgOptions& options, bool strict, Graph& graph) {
    const std::vector<std::string>&idle = options.without_effect(), &doubtful = options.warnings();
    graph.without_effect.insert(graph.without_effect.end(), idle.begin(), idle.end());
    graph.warnings.insert(graph.warnings.end(), doubtful.begin(), doubtful.end());
    const std::vector<std::string> unknown = options.unknown();
    if (unknown.empty()) return;
    if (strict) throw Error(Status::cfg, "", unknown.front());
    graph.warnings.insert(graph.warnings.end(), unknown.begin(), unknown.end());
}

const LayerDef& layer_of(const Section& section) {
    if (const LayerDef* def = find_layer(section.type)) return *def;
    if (const char* reason = refused_section(section.type)) throw Error(Status::cfg, section.where(), reason);
    const std::string near = closest(section.type, layer_spellings());
    throw Error(Status::cfg, section.where(),
                text("unknown section [", section.type, "]", near.empty() ? "" : text("; did you mean [", near, "]?")));
}

void infer_node(const Graph& graph, Node& node) {
    node.in = graph.shape_of(node.inputs.at(0));
    layer_def(node.kind).infer(graph, node);
}

void add_node(const Section& section, bool strict, Graph& graph) {
    const LayerDef& def = layer_of(section);
    Node node;
    node.index = static_cast<int>(graph.nodes.size());
    node.kind = def.kind;
    node.where = section.where();
    node.inputs = {node.index - 1};
    CfgOptions options(section, strict);
    read_common_keys(options, node);
    refuse_keys(options);
    def.parse(options, graph, node);
    report_keys(options, strict, graph);
    infer_node(graph, node);
    graph.nodes.push_back(std::move(node));
}

}  // namespace

std::size_t Node::parameter_count() const {
    std::size_t count = 0;
    for (const ArraySpec& spec : arrays) count += spec.count;
    return count;
}

bool Node::is_head() const { return layer_def(kind).head; }

const char* role_name(Role role) {
    constexpr const char* names[] = {"biases", "scales", "means", "variances", "weights"};
    return names[static_cast<int>(role)];
}

const Node& Graph::node(int layer) const {
    if (layer < 0 || layer >= static_cast<int>(nodes.size()))
        throw Error(Status::invalid_argument, file, text("has no layer ", layer, "; expected 0 to ", nodes.size() - 1));
    return nodes[layer];
}

std::vector<int> Graph::default_outputs() const {
    std::vector<int> outputs = heads();
    if (outputs.empty()) outputs.push_back(output_node());
    if (outputs.front() < 0) throw Error(Status::cfg, file, "has no output: expected a layer besides [cost]");
    return outputs;
}

std::vector<int> Graph::heads() const {
    std::vector<int> out;
    for (const Node& node : nodes)
        if (node.is_head()) out.push_back(node.index);
    return out;
}

int Graph::output_node() const {
    for (int i = static_cast<int>(nodes.size()) - 1; i >= 0; --i)
        if (nodes[i].kind != Kind::cost) return i;
    return -1;
}

int Graph::stride() const {
    int stride = 1;
    for (const Node& node : nodes)
        if (node.out.w > 1 && node.out.h > 1) stride = std::max(stride, (input.w + node.out.w - 1) / node.out.w);
    return stride;
}

Graph build_graph(const Cfg& cfg, bool strict) {
    const Section& first = cfg.sections.front();
    if (first.type != "net" && first.type != "network")
        throw Error(Status::cfg, first.where(), text("found [", first.type, "], expected [net] as the first section"));
    if (cfg.sections.size() < 2) throw Error(Status::cfg, cfg.file, "has no layer after [net]");
    if (cfg.sections.size() > kMaxLayers)
        throw Error(Status::cfg, cfg.file,
                    text("has ", cfg.sections.size(), " sections, expected at most ", kMaxLayers));
    Graph graph;
    graph.file = cfg.file;
    if (strict && !cfg.idle_lines.empty()) throw Error(Status::cfg, "", cfg.idle_lines.front());
    graph.warnings = cfg.idle_lines;
    CfgOptions options(first, strict);
    graph.net = read_net(options, graph.warnings);
    report_keys(options, strict, graph);
    graph.input = {graph.net.channels, graph.net.height, graph.net.width};
    for (std::size_t i = 1; i < cfg.sections.size(); ++i) add_node(cfg.sections[i], strict, graph);
    return graph;
}

void resize_graph(Graph& graph, int width, int height) {
    const int stride = graph.stride();
    if (width < 1 || height < 1 || width % stride != 0 || height % stride != 0)
        throw Error(
            Status::invalid_argument, graph.file,
            text("cannot have an input of ", width, " x ", height, "; expected multiples of its stride ", stride));
    Graph resized = graph;
    resized.input = {graph.input.c, height, width};
    resized.net.width = width;
    resized.net.height = height;
    for (Node& node : resized.nodes) {
        const std::size_t before = node.parameter_count();
        infer_node(resized, node);
        if (node.parameter_count() != before)
            throw Error(Status::invalid_argument, node.where,
                        text("its weights fit an input of ", graph.input.w, " x ", graph.input.h, " only"));
    }
    graph = std::move(resized);
}

}  // namespace dn
