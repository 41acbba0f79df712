// SPDX-License-Identifier: Apache-2.0
// Which layer has which loss, and the two of classifiers.
#include "loss.hpp"

#include <algorithm>
#include <cmath>

#include "../error.hpp"
#include "../layers/layer.hpp"

namespace dn {

LossReport softmax_loss(const Node& layer, const LossContext& context, const float* output, float* delta) {
    LossReport report;
    if (layer.as<SoftmaxParams>().noloss) return report;
    const std::size_t outputs = layer.out.size();
    double cost = 0;
    for (int image = 0; image < context.truths.n; ++image)
        for (std::size_t i = 0; i < outputs; ++i) {
            const float truth = context.truths.of(image)[i], p = output[image * outputs + i];
            delta[image * outputs + i] = truth - p;
            if (truth != 0) cost -= std::log(p);
        }
    report.cost = report.total_loss = static_cast<float>(cost);
    return report;
}

LossReport cost_loss(const Node& layer, const LossContext& context, const float* output, float* delta) {
    constexpr float kMasked = -1234;  // Darknet's mark of a truth that does not count
    const auto& params = layer.as<CostParams>();
    const std::size_t outputs = layer.out.size();
    double cost = 0;
    for (int image = 0; image < context.truths.n; ++image)
        for (std::size_t i = 0; i < outputs; ++i) {
            const float truth = context.truths.of(image)[i];
            const bool masked = params.type == CostType::masked && truth == kMasked;
            const float d = masked ? 0 : truth - output[image * outputs + i];
            const bool linear = params.type == CostType::smooth && std::fabs(d) >= 1;
            delta[image * outputs + i] = params.scale * (linear ? (d > 0 ? 1.f : -1.f) : d);
            cost += linear ? 2 * std::fabs(d) - 1 : d * d;
        }
    LossReport report;
    report.cost = report.total_loss = static_cast<float>(cost);
    return report;
}

bool owns_cost(const Node& node) {
    const LayerDef& def = layer_def(node.kind);
    return (def.head || def.loss) && !(def.lossless && def.lossless(node));
}

void check_truths(const Node& node, const Truths& truths) {
    if (node.is_head() && truths.stride % kTruthRow != 0)
        throw Error(Status::invalid_argument, node.where,
                    text("found ", truths.stride, " truth values an image, expected rows of ", kTruthRow,
                         ": x, y, w, h, class, track id"));
    if (owns_cost(node) && !node.is_head() && truths.stride != node.out.size())
        throw Error(Status::invalid_argument, node.where,
                    text("found ", truths.stride, " truth values an image, expected one for each of its ",
                         node.out.size(), " outputs"));
}

void check_trainable(const Node& node) {
    if (const char* reason = layer_def(node.kind).untrainable)
        throw Error(Status::cfg, node.where, text("cannot be trained: ", reason));
}

void check_trainable(const Graph& graph) {
    if (std::none_of(graph.nodes.begin(), graph.nodes.end(), owns_cost))
        throw Error(Status::cfg, graph.file,
                    "cannot be trained: no layer has a loss; expected a head, softmax or cost");
    for (const Node& node : graph.nodes) check_trainable(node);
}

LossReport loss(const Node& node, const LossContext& context, const float* output, float* delta) {
    const LayerDef& def = layer_def(node.kind);
    if (!def.loss) throw Error(Status::internal, node.where, "has no loss");
    return def.loss(node, context, output, delta);
}

}  // namespace dn
