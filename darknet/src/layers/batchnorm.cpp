// SPDX-License-Identifier: Apache-2.0
// [batchnorm]: batch normalisation on its own, with scale and bias.
#include "layer.hpp"

namespace dn {
namespace {

void parse(CfgOptions&, const Graph&, Node& node) { node.params = std::make_shared<EmptyParams>(); }

void infer(const Graph&, Node& node) {
    node.out = node.in;
    const std::size_t n = node.in.c;
    node.arrays = {{Role::biases, n}, {Role::scales, n}, {Role::means, n}, {Role::variances, n}};
}

}  // namespace

const LayerDef& layer_batchnorm() {
    static const LayerDef def = [] {
        LayerDef layer{Kind::batchnorm, "batchnorm", {"batchnorm"}, parse, infer};
        layer.element_wise = true;
        return layer;
    }();
    return def;
}

}  // namespace dn
