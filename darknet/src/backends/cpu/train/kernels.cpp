// SPDX-License-Identifier: Apache-2.0
// Which kernel trains a layer, and the memory that it takes beside the plan's arenas.
#include <algorithm>

#include "../../../layers/layer.hpp"
#include "../isa.hpp"
#include "slopes.hpp"
#include "train.hpp"

namespace dn::cpu {
namespace {

enum class Choice { convolution, winograd, maxpool, mover, reference };

// oneDNN multiplies values of one type only; what feeds a head is float32 in bf16 as well.
bool plain_convolution(const Node& node, DType src, DType compute) {
    const auto& params = node.as<ConvolutionalParams>();
    return src == compute && params.antialiasing == 0 && has_slope(params.activation) &&
           counts_windows(params, node.in, node.out);
}

bool plain_pool(const PoolParams& params, DType src, DType dst) {
    return src == dst && (dst == DType::f32 || has_bf16_primitives()) && !params.depth && params.antialiasing == 0;
}

bool plain_shortcut(const ShortcutParams& params, const std::vector<Tensor>& src) {
    const auto same_width = [&](const Tensor& source) { return source.shape.w == src[0].shape.w; };
    return params.weights_per_source == 0 && params.activation == Activation::linear &&
           std::all_of(src.begin(), src.end(), same_width);
}

int tile_of(const TrainLayer& layer) { return winograd_training_tile(layer.node, layer.compute, layer.convolutions); }

// Layers without a source have reference kernels.
Choice choose(const TrainLayer& layer) {
    const Node& node = layer.node;
    switch (node.kind) {
        case Kind::convolutional:
            if (!plain_convolution(node, layer.src[0].type, layer.compute)) return Choice::reference;
            return tile_of(layer) > 0 ? Choice::winograd : Choice::convolution;
        case Kind::maxpool:
            return plain_pool(node.as<PoolParams>(), layer.src[0].type, layer.dst.type) ? Choice::maxpool
                                                                                        : Choice::reference;
        case Kind::shortcut:
            return plain_shortcut(node.as<ShortcutParams>(), layer.src) ? Choice::mover : Choice::reference;
        case Kind::upsample:
            return node.as<UpsampleParams>().stride > 0 ? Choice::mover : Choice::reference;
        case Kind::route:
            return Choice::mover;
        default:
            return Choice::reference;
    }
}

// The sums in front of batch norm; weights packed for both directions; their gradients, packed and plain.
std::size_t convolution_bytes(const Node& node, const Tensor& dst, DType compute) {
    std::size_t weights = 0;
    for (const ArraySpec& array : node.arrays) weights += array.role == Role::weights ? array.count : 0;
    const bool trains = dst.delta != nullptr;
    const std::size_t packed = bytes(multiplied_as(compute)) * (trains ? 2 : 1);
    return dense_bytes(dst) + weights * (packed + (trains ? 2 * sizeof(float) : 0));
}

std::size_t plane_bytes(const Tensor& tensor) { return tensor.size() * sizeof(float) * (tensor.delta ? 2 : 1); }

std::size_t reference_bytes(const std::vector<Tensor>& src, const Tensor& dst) {
    std::size_t total = plane_bytes(dst), largest = 0;
    for (const Tensor& tensor : src) {
        total += plane_bytes(tensor);
        largest = std::max(largest, tensor.size());
    }
    return total + (dst.delta ? largest * sizeof(float) : 0);
}

}  // namespace

std::unique_ptr<TrainKernel> make_train_kernel(const TrainContext& context) {
    const TrainLayer layer{context.node, context.src, context.dst, context.compute, context.convolutions};
    switch (choose(layer)) {
        case Choice::winograd:
            return make_train_winograd(context, tile_of(layer));
        case Choice::convolution:
            if (auto kernel = make_train_convolution(context)) return kernel;
            break;
        case Choice::maxpool:
            return make_train_maxpool(context);
        case Choice::mover:
            return make_train_mover(context);
        case Choice::reference:
            break;
    }
    return make_train_by_reference(context);
}

std::size_t train_kernel_bytes(const TrainLayer& layer) {
    switch (choose(layer)) {
        case Choice::winograd:
            return winograd_training_bytes(layer.src[0], layer.dst);
        case Choice::convolution:
            return convolution_bytes(layer.node, layer.dst, layer.compute);
        case Choice::maxpool:
            return layer.dst.size();  // where in its window each maximum was, a byte each
        case Choice::mover:
            return 0;
        case Choice::reference:
            break;
    }
    return reference_bytes(layer.src, layer.dst);
}

std::size_t train_scratch_bytes(const TrainLayer& layer, int threads) {
    if (choose(layer) != Choice::winograd) return 0;
    return winograd_training_scratch(tile_of(layer), layer.src[0], layer.dst, threads);
}

}  // namespace dn::cpu
