// SPDX-License-Identifier: Apache-2.0
// [normalization], [lrn]: local response normalisation across channels (AlexNet).
#include "layer.hpp"

namespace dn {
namespace {

void parse(CfgOptions& options, const Graph&, Node& node) {
    auto params = std::make_shared<NormalizationParams>();
    params->alpha = options.real("alpha", params->alpha);
    params->beta = options.real("beta", params->beta);
    params->kappa = options.real("kappa", params->kappa);
    params->size = options.integer("size", params->size, 1, 1 << 20);
    node.params = params;
}

void infer(const Graph&, Node& node) { node.out = node.in; }

}  // namespace

const LayerDef& layer_normalization() {
    static const LayerDef def{Kind::normalization, "normalization", {"normalization", "lrn"}, parse, infer};
    return def;
}

}  // namespace dn
