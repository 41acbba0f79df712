// SPDX-License-Identifier: Apache-2.0
// [softmax]: probabilities over the whole input, over groups of it, or over the siblings of a class tree.
#include "../losses/loss.hpp"
#include "layer.hpp"

#include "../error.hpp"

namespace dn {
namespace {

void parse(CfgOptions& options, const Graph&, Node& node) {
    auto params = std::make_shared<SoftmaxParams>();
    params->groups = options.integer("groups", 1, 1, 1 << 24);
    params->temperature = options.real("temperature", 1);
    if (!(params->temperature > 0))
        options.fail("temperature", text("found ", params->temperature, ", expected more than 0"));
    if (options.has("tree")) params->tree = read_tree(options.word("tree", ""), node.where);
    params->noloss = options.flag("noloss");
    options.unsupported("spatial");  // acts in Darknet's GPU build only
    node.params = params;
}

void infer(const Graph&, Node& node) {
    const auto& params = node.as<SoftmaxParams>();
    const std::size_t inputs = node.in.size();
    if (inputs % params.groups != 0)
        shape_error(node, text("groups=", params.groups, " does not divide its ", inputs, " inputs"));
    if (!params.tree.parent.empty() && params.tree.parent.size() != inputs)
        shape_error(node, text("its tree has ", params.tree.parent.size(), " classes, its input ", inputs));
    node.out = {static_cast<int>(inputs), 1, 1};
}

bool lossless(const Node& node) { return node.as<SoftmaxParams>().noloss; }

}  // namespace

const LayerDef& layer_softmax() {
    static const LayerDef def = [] {
        LayerDef layer{Kind::softmax, "softmax", {"softmax", "soft"}, parse, infer};
        layer.keeps_float = true;
        layer.loss = softmax_loss;
        layer.lossless = lossless;
        return layer;
    }();
    return def;
}

}  // namespace dn
