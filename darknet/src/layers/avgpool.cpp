// SPDX-License-Identifier: Apache-2.0
// [avgpool]: the mean of each channel.
#include "layer.hpp"

namespace dn {
namespace {

void parse(CfgOptions&, const Graph&, Node& node) { node.params = std::make_shared<EmptyParams>(); }

void infer(const Graph&, Node& node) { node.out = {node.in.c, 1, 1}; }

}  // namespace

const LayerDef& layer_avgpool() {
    static const LayerDef def{Kind::avgpool, "avgpool", {"avgpool", "avg"}, parse, infer};
    return def;
}

}  // namespace dn
