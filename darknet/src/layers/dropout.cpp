// SPDX-License-Identifier: Apache-2.0
// [dropout]: zeroes values while training; at inference nothing happens.
#include "layer.hpp"

#include "../error.hpp"

namespace dn {
namespace {

void parse(CfgOptions& options, const Graph&, Node& node) {
    auto params = std::make_shared<DropoutParams>();
    params->probability = options.real("probability", params->probability);
    if (params->probability < 0 || params->probability >= 1)
        options.fail("probability", text("found ", params->probability, ", expected 0 to below 1"));
    options.unsupported({"dropblock", "dropblock_size_rel", "dropblock_size_abs"});
    options.accept({"size"});  // seen in public files; never had an effect
    node.params = params;
}

void infer(const Graph&, Node& node) { node.out = node.in; }

}  // namespace

const LayerDef& layer_dropout() {
    static const LayerDef def = [] {
        LayerDef layer{Kind::dropout, "dropout", {"dropout"}, parse, infer};
        layer.pass_through = always;
        return layer;
    }();
    return def;
}

}  // namespace dn
