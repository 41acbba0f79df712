// SPDX-License-Identifier: Apache-2.0
// [empty], [silence]: its input passes through.
#include "layer.hpp"

namespace dn {
namespace {

void parse(CfgOptions&, const Graph&, Node& node) { node.params = std::make_shared<EmptyParams>(); }

void infer(const Graph&, Node& node) { node.out = node.in; }

}  // namespace

const LayerDef& layer_empty() {
    static const LayerDef def{Kind::empty, "empty", {"empty", "silence"}, parse, infer};
    return def;
}

}  // namespace dn
