// SPDX-License-Identifier: Apache-2.0
// Memory that training kernels take beside the plan's activations: one definition for the kernels and for forecasts.
#include <algorithm>

#include "train.hpp"

namespace dn::cuda {
namespace {

// Whether the slope depends on more than the activation's result.
bool slope_needs_argument(Activation activation) {
    return activation == Activation::gelu || activation == Activation::swish || activation == Activation::mish ||
           activation == Activation::hard_mish;
}

void* take_argument(Parts& parts, const Tensor& dst) { return parts.take<std::byte>(dst.size() * bytes(dst.type)); }

void take_norm(Parts& parts, const Node& node, const Tensor& dst, Kept& kept) {
    const bool convolves = node.kind != Kind::batchnorm;
    if (convolves && (normalizes(node) || activation_of(node) != Activation::linear))
        kept.argument = take_argument(parts, dst);
    for (float** values : {&kept.mean, &kept.inverse, &kept.mean_delta, &kept.mean_product})
        *values = parts.take<float>(dst.shape.c);
}

void take_shortcut(Parts& parts, const Node& node, const std::vector<Tensor>& src, const Tensor& dst, Kept& kept) {
    const auto& params = node.as<ShortcutParams>();
    if (slope_needs_argument(params.activation)) kept.argument = take_argument(parts, dst);
    if (params.weights_per_source == 0) return;
    kept.factors = parts.take<float>(src.size() * dst.shape.c);
    kept.partial = parts.take<float>(static_cast<std::size_t>(chunks_of(dst)) * dst.shape.c);
}

}  // namespace

Kept take_kept(Parts& parts, const Node& node, const std::vector<Tensor>& src, const Tensor& dst, DType compute) {
    Kept kept;
    if (train_kernel_of(node, src, dst, compute) == train_by_reference) return kept;
    switch (node.kind) {
        case Kind::convolutional:
        case Kind::connected:
        case Kind::batchnorm:
            take_norm(parts, node, dst, kept);
            break;
        case Kind::maxpool:
            if (!node.as<PoolParams>().depth) kept.index = parts.take<unsigned short>(dst.size());
            break;
        case Kind::shortcut:
            take_shortcut(parts, node, src, dst, kept);
            break;
        case Kind::scale_channels:
            if (slope_needs_argument(node.as<ScaleChannelsParams>().activation))
                kept.argument = take_argument(parts, dst);
            break;
        case Kind::sam:
            if (slope_needs_argument(node.as<SamParams>().activation)) kept.argument = take_argument(parts, dst);
            break;
        case Kind::normalization:
            kept.norms = parts.take<float>(dst.size());
            break;
        default:
            break;
    }
    return kept;
}

std::size_t train_scratch_bytes(const Node& node, const std::vector<Tensor>& src, const Tensor& dst, DType compute,
                                const DeltaFlow& flow) {
    const bool convolves = node.kind == Kind::convolutional || node.kind == Kind::connected;
    if (!convolves && node.kind != Kind::batchnorm) return 0;
    if (train_kernel_of(node, src, dst, compute) == train_by_reference) return 0;
    const std::size_t sums = sizeof(float) * 2 * dst.shape.c * static_cast<std::size_t>(chunks_of(dst));
    if (!convolves || !dst.delta) return sums;
    const Filters filters = filters_of(node, src[0].shape);
    const std::size_t gradients = bytes(compute) * dst.shape.c * filters.channels * filters.window;
    const std::size_t delta = src[0].delta && !flow.overwrite[0] ? src[0].size() * bytes(compute) : 0;
    return std::max({sums, gradients, delta});
}

std::size_t train_table_bytes(const Node& node) {
    const bool permutes = node.kind == Kind::reorg || node.kind == Kind::reorg3d;
    return table_bytes(node) + (permutes ? node.in.size() * sizeof(int) : 0);
}

}  // namespace dn::cuda
