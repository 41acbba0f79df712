// SPDX-License-Identifier: Apache-2.0
// [cost]: the loss of a network without a head; at inference its input passes through.
#include "../losses/loss.hpp"
#include "layer.hpp"

namespace dn {
namespace {

void parse(CfgOptions& options, const Graph&, Node& node) {
    auto params = std::make_shared<CostParams>();
    params->type =
        parse_choice<CostType>(options, "type", CostType::sse,
                               {{"sse", CostType::sse}, {"masked", CostType::masked}, {"smooth", CostType::smooth}});
    params->scale = options.real("scale", params->scale);
    options.unsupported("ratio");
    node.params = params;
}

void infer(const Graph&, Node& node) { node.out = node.in; }

}  // namespace

const LayerDef& layer_cost() {
    static const LayerDef def = [] {
        LayerDef layer{Kind::cost, "cost", {"cost"}, parse, infer};
        layer.keeps_float = true;
        layer.pass_through = always;
        layer.loss = cost_loss;
        return layer;
    }();
    return def;
}

}  // namespace dn
