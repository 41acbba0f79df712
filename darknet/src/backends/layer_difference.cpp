// SPDX-License-Identifier: Apache-2.0
#include "layer_difference.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "../error.hpp"
#include "../layers/layer.hpp"

namespace dn {

double LayerDifference::relative() const {
    const double difference = std::fabs(static_cast<double>(first) - second);
    if (std::isnan(difference)) return std::numeric_limits<double>::infinity();
    return difference / std::max(largest_value, kSmallestValue);
}

LayerDifference largest_difference(int node, const std::string& what, const Floats& first, const Floats& second) {
    LayerDifference worst{node, what, 0, 0, 0, 0};
    for (std::size_t k = 0; k < first.size(); ++k) {
        const float a = first[k], b = second[k];
        worst.largest_value = std::max(worst.largest_value, std::fabs(b));
        if (a == b || (std::isnan(a) && std::isnan(b))) continue;
        if (std::fabs(a - b) <= std::fabs(worst.first - worst.second)) continue;
        worst.at = k;
        worst.first = a;
        worst.second = b;
        if (std::isnan(a - b)) break;
    }
    return worst;
}

std::optional<LayerDifference> difference_of(int node, const std::string& what, const Floats& first,
                                             const Floats& second, float tolerance, float least_scale) {
    LayerDifference worst = largest_difference(node, what, first, second);
    const float scale = std::max(worst.largest_value, least_scale);
    // Written so that NaN on one side counts as a difference.
    if (std::fabs(worst.first - worst.second) <= tolerance * scale) return std::nullopt;
    return worst;
}

void report_difference(const Graph& graph, const std::string& names, const LayerDifference& difference,
                       const std::string& remark) {
    const Node& node = graph.nodes[difference.node];
    throw Error(Status::backend, node.where,
                text("backends ", names, " differ first at layer ", node.index, " (", layer_def(node.kind).name,
                     "), in its ", difference.what, ": found ", difference.first, " and ", difference.second,
                     " at index ", difference.at, ", a difference of ", std::fabs(difference.first - difference.second),
                     " where the largest value is ", difference.largest_value, remark));
}

}  // namespace dn
