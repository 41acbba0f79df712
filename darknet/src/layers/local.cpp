// SPDX-License-Identifier: Apache-2.0
// [local]: a convolution with weights of its own at each location (YOLOv1).
#include "layer.hpp"

namespace dn {
namespace {

void parse(CfgOptions& options, const Graph&, Node& node) {
    auto params = std::make_shared<LocalParams>();
    params->filters = options.integer("filters", 1, 1, 1 << 20);
    params->size = options.integer("size", 1, 1, 1 << 12);
    params->stride = options.integer("stride", 1, 1, 1 << 12);
    params->pad = options.flag("pad");
    params->activation = parse_activation(options, "activation", Activation::logistic);
    node.params = params;
}

void infer(const Graph&, Node& node) {
    const auto& params = node.as<LocalParams>();
    // With pad=1 Darknet counts positions as if the window were one wide, whatever its size.
    const int window = params.pad ? 1 : params.size;
    const int w = window_out(node, node.in.w, 0, window, params.stride);
    const int h = window_out(node, node.in.h, 0, window, params.stride);
    node.out = checked_shape(node, params.filters, h, w);
    const std::size_t side = params.size;
    const std::size_t weights = checked_count(node, {node.out.size(), std::size_t(node.in.c), side, side});
    node.arrays = {{Role::biases, node.out.size()}, {Role::weights, weights}};
}

void initial_weights(const Node& node, std::vector<float>& weights, std::uint64_t stream) {
    const std::size_t side = node.as<LocalParams>().size;
    fill_by_fan_in(weights, side * side * node.in.c, stream);
}

}  // namespace

const LayerDef& layer_local() {
    static const LayerDef def = [] {
        LayerDef layer{Kind::local, "local", {"local"}, parse, infer};
        layer.initial_weights = initial_weights;
        return layer;
    }();
    return def;
}

}  // namespace dn
