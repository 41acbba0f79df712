// SPDX-License-Identifier: Apache-2.0
#include "layer_kernels.hpp"

#include <algorithm>

#include "train/state.hpp"

namespace dn::cuda {

namespace {

std::size_t bytes_of(const Tree& tree) { return (tree.group_offset.size() + tree.group_size.size()) * sizeof(int); }

}  // namespace

std::size_t table_bytes(const Node& node) {
    switch (node.kind) {
        case Kind::reorg:
        case Kind::reorg3d:
        case Kind::crop:
            return node.out.size() * sizeof(int);
        case Kind::region:
            return bytes_of(node.as<RegionParams>().tree);
        case Kind::softmax:
            return bytes_of(node.as<SoftmaxParams>().tree);
        default:
            return 0;
    }
}

std::size_t kept_bytes(const Node& node, int batch) {
    std::size_t floats = 0;
    if (node.kind == Kind::normalization) floats = batch * node.out.size();
    if (node.kind == Kind::shortcut && node.as<ShortcutParams>().weights_per_source > 0)
        floats = node.inputs.size() * node.out.c;
    return table_bytes(node) + floats * sizeof(float);
}

const float* parameter(const Context& context, Role role) {
    if (context.state) return context.state->parameters(context.node.index, role);
    const int owner = weights_owner(context.graph, context.node.index);
    const Floats& values = context.params->array(role);
    return static_cast<const float*>(
        context.weights.get(owner, static_cast<int>(role), values.size(), DType::f32,
                            [&](float* out) { std::copy(values.begin(), values.end(), out); }));
}

}  // namespace dn::cuda
