// SPDX-License-Identifier: Apache-2.0
// [convolutional] and [connected]: cuDNN, then one kernel for bias, activation and a fused shortcut.
#include "../../layers/layer.hpp"
#include "kernels/activations.cuh"
#include "layer_kernels.hpp"

namespace dn::cuda {
namespace {

// (filters, channels, height, width) of a weights file to (filters, height, width, channels).
void move_channels_last(const Floats& values, Filters filters, float* out) {
    const std::size_t window = filters.window, channels = filters.channels;
    for (std::size_t k = 0; k < values.size() / (window * channels); ++k)
        for (std::size_t c = 0; c < channels; ++c)
            for (std::size_t at = 0; at < window; ++at)
                out[(k * window + at) * channels + c] = values[(k * channels + c) * window + at];
}

class Convolutional : public Kernel {
public:
    explicit Convolutional(const Context& context)
        : runtime_(context.runtime),
          shape_(convolution_shape(context)),
          convolution_(context.runtime.dnn, shape_, Pass::forward, context.node.where, context.runtime.tuning()),
          activate_(context.runtime, kernel::activate, context.dst.type),
          src_(context.src[0]),
          dst_(context.dst) {
        const int owner = weights_owner(context.graph, context.node.index);
        const NodeParameters& values = *context.params;
        weights_ = context.weights.get(owner, 0, shape_.weight_count(), dst_.type, [&](float* out) {
            Floats folded(values.weights.size());
            fold_weights(values, folded.data());
            move_channels_last(folded, filters_of(context.node, context.src[0].shape), out);
        });
        bias_ = static_cast<const float*>(context.weights.get(owner, 1, values.biases.size(), DType::f32,
                                                              [&](float* out) { fold_biases(values, out); }));
        finish_ = {{nullptr, dst_.shape.c},
                   view_of(dst_),
                   context.residual.data ? view_of(context.residual) : View{},
                   bias_,
                   dn::cuda::pixels_of(dst_),
                   dst_.shape.c,
                   static_cast<int>(activation_of(context.node)),
                   static_cast<int>(context.fusion.residual_activation)};
        // Sums go where they belong, unless that is a slice or the place of what is added to them.
        in_place_ = dst_.dense() && context.residual.data != dst_.data;
        runtime_.reserve(workspace_bytes() + (in_place_ ? 0 : dst_.size() * bytes(dst_.type)));
    }

    void forward() override {
        void* sums = in_place_ ? dst_.data : runtime_.scratch() + workspace_bytes();
        convolution_.run(src_.data, weights_, sums, runtime_.scratch());
        ActivateArgs args = finish_;
        args.src.data = sums;
        activate_(args.pixels * args.channels, args);
    }

    std::string what() const override { return text("cudnn:", convolution_.engine()); }

private:
    // The sums behind it begin at a multiple of the device's alignment.
    std::size_t workspace_bytes() const { return device_aligned(convolution_.workspace_bytes()); }

    Runtime& runtime_;
    ConvolutionShape shape_;
    Convolution convolution_;
    Launch<ActivateArgs> activate_;
    Tensor src_, dst_;
    void* weights_ = nullptr;
    const float* bias_ = nullptr;
    ActivateArgs finish_{};
    bool in_place_ = true;
};

}  // namespace

// A connected layer reads all values of an image as the channels of one pixel.
ConvolutionShape connected_shape(const Context& context) {
    const int inputs = static_cast<int>(context.src[0].shape.size()), outputs = context.dst.shape.c;
    return {context.batch,
            inputs,
            1,
            1,
            outputs,
            1,
            1,
            1,
            1,
            1,
            0,
            1,
            1,
            context.dst.type,
            context.precision == Precision::tf32};
}

ConvolutionShape convolution_shape(const Context& context) {
    if (context.node.kind == Kind::connected) return connected_shape(context);
    const auto& params = context.node.as<ConvolutionalParams>();
    const Tensor &src = context.src[0], &dst = context.dst;
    return {context.batch,
            src.shape.c,
            src.shape.h,
            src.shape.w,
            dst.shape.c,
            dst.shape.h,
            dst.shape.w,
            params.size,
            params.stride_y,
            params.stride_x,
            params.padding * params.dilation,
            params.dilation,
            params.groups,
            dst.type,
            context.precision == Precision::tf32};
}

Filters filters_of(const Node& node, Shape src) {
    if (node.kind == Kind::connected) return {src.c, src.h * src.w};
    const auto& params = node.as<ConvolutionalParams>();
    return {src.c / params.groups, params.size * params.size};
}

Activation activation_of(const Node& node) {
    return node.kind == Kind::connected ? node.as<ConnectedParams>().activation
                                        : node.as<ConvolutionalParams>().activation;
}

bool normalizes(const Node& node) {
    return node.kind == Kind::connected ? node.as<ConnectedParams>().batch_normalize
                                        : node.as<ConvolutionalParams>().batch_normalize;
}

bool convolves_on_device(const Node& node) {
    if (node.kind == Kind::connected) return is_pointwise(activation_of(node));
    if (node.kind != Kind::convolutional) return false;
    const auto& params = node.as<ConvolutionalParams>();
    return params.antialiasing == 0 && is_pointwise(params.activation) && counts_windows(params, node.in, node.out);
}

std::unique_ptr<Kernel> make_convolutional(const Context& context) {
    if (!convolves_on_device(context.node) || !has_one_type(context)) return make_by_reference(context);
    return std::make_unique<Convolutional>(context);
}

std::unique_ptr<Kernel> make_connected(const Context& context) { return make_convolutional(context); }

}  // namespace dn::cuda
