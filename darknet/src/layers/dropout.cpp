// SPDX-License-Identifier: Apache-2.0
// [dropout]: zeroes values, or with dropblock squares of them, while training; at inference nothing happens.
#include "layer.hpp"

#include "../error.hpp"

namespace dn {
namespace {

void parse(CfgOptions& options, const Graph&, Node& node) {
    auto params = std::make_shared<DropoutParams>();
    params->probability = options.real("probability", params->probability);
    if (params->probability < 0 || params->probability >= 1)
        options.fail("probability", text("found ", params->probability, ", expected 0 to below 1"));
    params->dropblock = options.flag("dropblock");
    params->dropblock_size_rel = options.real("dropblock_size_rel", 0);
    // Darknet reads a real number here and cuts it.
    const float size_abs = options.real("dropblock_size_abs", 0);
    if (size_abs < 0 || size_abs > 1 << 20)
        options.fail("dropblock_size_abs", text("found ", size_abs, ", expected 0 to ", 1 << 20));
    params->dropblock_size_abs = static_cast<int>(size_abs);
    if (params->dropblock_size_abs > 0) params->dropblock_size_rel = 0;
    if (params->dropblock && params->dropblock_size_abs == 0 && params->dropblock_size_rel == 0)
        params->dropblock_size_abs = 7;
    options.ignore({"size"});  // seen in public files; never had an effect
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
