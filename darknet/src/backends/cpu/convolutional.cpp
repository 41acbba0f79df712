// SPDX-License-Identifier: Apache-2.0
// [convolutional]: which way to compute it. See conv_fused, conv_tiled, conv_whole, conv_winograd and bottleneck.
#include "../../layers/layer.hpp"
#include "../ref/ref.hpp"

#include "blur.hpp"
#include "conv_primitive.hpp"
#include "cpu.hpp"
#include "rows.hpp"

namespace dn::cpu {
namespace {

// The convolution `node` from src to dst, with what is fused into it.
ConvTask task_of(const Context& context, const Node& node, const Tensor& src, const Tensor& dst) {
    const auto& params = node.as<ConvolutionalParams>();
    const bool last = node.index == context.node.index;  // others are computed before it
    const bool blurred = params.antialiasing != 0;       // the strides belong to the blur then
    const int pad = params.padding * params.dilation;
    return {context.runtime,
            context.weights,
            context.parameters->of(context.graph, node.index),
            weights_owner(context.graph, node.index),
            {params.groups, params.size, blurred ? 1 : params.stride_x, blurred ? 1 : params.stride_y, pad, pad,
             params.dilation},
            src,
            dst,
            last ? context.residual : Tensor{},
            last ? Finish{params.activation, context.residual.data != nullptr, context.fusion.residual_activation}
                 : Finish{params.activation}};
}

ConvTask task_of(const Context& context, const Tensor& dst) {
    return task_of(context, context.node, context.src[0], dst);
}

std::unique_ptr<Kernel> make_pair(const Context& context) {
    const Node& first = context.graph.nodes[context.fusion.first];
    const Tensor between{nullptr, nullptr, DType::f32, context.batch, first.out, static_cast<std::size_t>(first.out.c)};
    return make_product_pair(task_of(context, first, context.src[0], between),
                             task_of(context, context.node, between, context.dst));
}

// Activations that cost oneDNN more in its pass than finish_pixels() costs behind it.
bool finishes_faster(Activation activation) {
    switch (activation) {
        case Activation::linear:
        case Activation::leaky:
        case Activation::relu:
        case Activation::relu6:
            return false;
        default:
            return true;
    }
}

std::unique_ptr<Kernel> make_convolution(const ConvTask& task, bool in_tiles) {
    if (in_tiles) return make_tiled_convolution(task);
    std::unique_ptr<Kernel> kernel = make_fused_convolution(task);
    return kernel ? std::move(kernel) : make_whole_convolution(task);
}

// Output of the convolution itself, before the blur of antialiasing.
Shape before_blur_shape(const Context& context) {
    const auto& params = context.node.as<ConvolutionalParams>();
    if (params.antialiasing == 0) return context.dst.shape;
    const Shape in = context.src[0].shape;
    const int shrink = 2 * params.padding - params.size + 1;
    return {params.filters, in.h + shrink, in.w + shrink};
}

// Whether a normalised pixel exceeds a staging row, or the windows are not those that the output's shape counts.
bool needs_reference(const Context& context) {
    const auto& params = context.node.as<ConvolutionalParams>();
    if (normalizes_channels(params.activation) && static_cast<std::size_t>(params.filters) > kRow) return true;
    return !counts_windows(params, context.src[0].shape, before_blur_shape(context));
}

// Whether every strip of rows reads a row of the image, whatever its place.
bool strips_read_rows(const ConvolutionalParams& params) { return params.padding < params.size; }

}  // namespace

bool convolves_in_tiles(const Node& node, DType type) {
    const auto& params = node.as<ConvolutionalParams>();
    return strips_read_rows(params) && finishes_faster(params.activation) && weights_fit_tiles(node, type);
}

std::unique_ptr<Kernel> make_convolutional(const Context& context) {
    if (context.fusion.depthwise >= 0) return make_bottleneck(context);
    if (context.fusion.first >= 0) return make_pair(context);
    const auto& params = context.node.as<ConvolutionalParams>();
    if (needs_reference(context)) return make_by_reference(context, ref::make_convolutional);
    if (const int tile = winograd_tile(context.node, context.fusion, context.compute, context.convolutions))
        return make_winograd_convolution(task_of(context, context.dst), tile);
    if (is_product(context.node, context.fusion, context.compute, context.convolutions))
        return make_product_convolution(task_of(context, context.dst));
    const bool in_tiles = convolves_in_tiles(context.node, context.compute);
    if (params.antialiasing == 0) return make_convolution(task_of(context, context.dst), in_tiles);
    return make_blurred(context, {params.antialiasing, params.stride_x, params.stride_y}, before_blur_shape(context),
                        [&](const Tensor& sharp) { return make_convolution(task_of(context, sharp), in_tiles); });
}

}  // namespace dn::cpu
