// SPDX-License-Identifier: Apache-2.0
// [batchnorm]: batch normalisation on its own, with scale and bias.
#include "layer.hpp"

namespace dn {
namespace {

void parse(Options&, const Graph&, Node& node) { node.params = std::make_shared<EmptyParams>(); }

void infer(const Graph&, Node& node) {
    node.out = node.in;
    const std::size_t n = node.in.c;
    node.arrays = {{Array::biases, n}, {Array::scales, n}, {Array::means, n}, {Array::variances, n}};
}

}  // namespace

const LayerDef& layer_batchnorm() {
    static const LayerDef def{Kind::batchnorm, "batchnorm", {"batchnorm"}, parse, infer};
    return def;
}

}  // namespace dn
