// SPDX-License-Identifier: Apache-2.0
#include "activations.hpp"

#include <algorithm>

#include "../../layers/layer.hpp"

namespace dn::cpu {
namespace {

bool keeps_float(const Node& node) { return layer_def(node.kind).keeps_float; }

bool has_one_channel_groups(const Node& node) {
    return node.kind == Kind::convolutional && node.as<ConvolutionalParams>().groups > 1 &&
           node.as<ConvolutionalParams>().groups == node.in.c;
}

// In a bf16 network, values of fewer channels than this stay float32. bf16 gains little in narrow layers, least where
// depthwise convolutions leave no matrices to multiply; and rounding that so few channels average out made confidences
// of such networks differ by 0.06 from float32's; now by less than 0.03.
int narrow_channels(const Graph& graph) {
    return std::any_of(graph.nodes.begin(), graph.nodes.end(), has_one_channel_groups) ? 64 : 32;
}

}  // namespace

Activations::Activations(const Graph& graph, const PlanOptions& options)
    : fused_(graph),
      batch_(options.batch),
      compute_(options.precision == Precision::bf16 ? DType::bf16 : DType::f32),
      convolutions_(options.convolutions) {
    fuse_shortcuts(fused_, options.wanted);
    fuse_bottlenecks(fused_, options.wanted,
                     [&](const Bottleneck& bottleneck) { return computes_bottleneck(bottleneck, options); });
    fuse_pairs(fused_, options.wanted, [&](const ConvPair& pair) {
        return computes_pair(pair, fused_.of(pair.second.index), compute_, convolutions_);
    });
    const std::vector<DType> types = choose_types();
    placement_ = place_outputs(fused_, options.wanted, rules(types));
    arena_bytes_ = pack_arena(placement_.buffers, batch_);
}

// Values between layers have the compute type; heads, and what feeds heads alone, are float32.
std::vector<DType> Activations::choose_types() const {
    const std::size_t count = fused_.graph.nodes.size();
    std::vector<bool> feeds_heads(count, false), feeds_others(count, false);
    for (auto node = fused_.graph.nodes.rbegin(); node != fused_.graph.nodes.rend(); ++node) {
        const std::size_t i = node->index;
        const std::vector<int>& inputs = fused_.inputs(*node);
        for (std::size_t k = 0; k < inputs.size(); ++k) {
            if (inputs[k] < 0) continue;
            const bool same_value = k == 0 && fused_.shares_source(*node);
            const bool to_head = same_value ? feeds_heads[i] : keeps_float(*node);
            const bool to_other = same_value ? feeds_others[i] : !keeps_float(*node);
            if (to_head) feeds_heads[inputs[k]] = true;
            if (to_other) feeds_others[inputs[k]] = true;
        }
    }
    const int narrow = narrow_channels(fused_.graph);
    std::vector<DType> types(count, compute_);
    for (const Node& node : fused_.graph.nodes) {
        const bool head_alone = feeds_heads[node.index] && !feeds_others[node.index];
        if (fused_.shares_source(node))
            types[node.index] = node.inputs[0] < 0 ? input_type() : types[node.inputs[0]];
        else if (keeps_float(node) || head_alone || node.out.c < narrow)
            types[node.index] = DType::f32;
    }
    return types;
}

// The input follows its first reader, so that this one need not convert it.
DType Activations::input_type() const {
    return fused_.graph.nodes.front().out.c < narrow_channels(fused_.graph) ? DType::f32 : compute_;
}

PlacementRules Activations::rules(const std::vector<DType>& types) const {
    PlacementRules rules;
    rules.type = [&types, this](int node) { return node < 0 ? input_type() : types[node]; };
    // oneDNN wants dense tensors; all kernels of our own take any pitch.
    rules.reads_slices = [this](const Node& node) {
        if (fused_.of(node.index).first >= 0) return true;
        if (node.kind == Kind::convolutional)
            return convolves_in_tiles(node, compute_) ||
                   winograd_tile(node, fused_.of(node.index), compute_, convolutions_) > 0 ||
                   is_product(node, fused_.of(node.index), compute_, convolutions_);
        return node.kind != Kind::connected;
    };
    rules.writes_slices = rules.reads_slices;
    rules.in_place = [](const Node& node, std::size_t input) {
        return input < node.inputs.size() ? layer_def(node.kind).element_wise && node.inputs[input] >= 0 : true;
    };
    return rules;
}

Tensor Activations::tensor(int node, std::byte* arena) const {
    return tensor_in(fused_, placement_, node, batch_, arena);
}

}  // namespace dn::cpu
