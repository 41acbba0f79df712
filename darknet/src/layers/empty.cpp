// SPDX-License-Identifier: Apache-2.0
// [empty], [silence]: its input passes through.
#include "layer.hpp"

namespace dn {
namespace {

void parse(CfgOptions&, const Graph&, Node& node) { node.params = std::make_shared<EmptyParams>(); }

void infer(const Graph&, Node& node) { node.out = node.in; }

}  // namespace

const LayerDef& layer_empty() {
    static const LayerDef def = [] {
        LayerDef layer{Kind::empty, "empty", {"empty", "silence"}, parse, infer};
        layer.pass_through = always;
        return layer;
    }();
    return def;
}

}  // namespace dn
