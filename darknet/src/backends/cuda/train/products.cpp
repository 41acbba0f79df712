// SPDX-License-Identifier: Apache-2.0
// Sums and products of layers in training: [shortcut], [scale_channels], [sam], [implicit], [normalization],
// [activation].
#include "../kernels/activations.cuh"
#include "../kernels/channels.cuh"

#include "train.hpp"

namespace dn::cuda {
namespace {

constexpr int kNoActivation = static_cast<int>(Activation::linear);

// The gradients of a shortcut's weights, of one source.
void add_weight_gradients(Launches& back, const TrainContext& context, std::size_t s, int shared) {
    const auto& params = context.node.as<ShortcutParams>();
    Tensor src = context.src[s];
    src.shape.c = shared;
    back.add(kernel::products, context.dst.type, grid_of_sums(src),
             ProductsArgs{view_of(delta_of(context.dst)), view_of(src), context.kept.partial, pixels_of(src), shared});
    const std::size_t weights = params.weights_per_source;
    back.add(kernel::shortcut_gradients, DType::f32, static_cast<long long>(weights),
             ShortcutGradientsArgs{context.kept.partial, context.kept.factors + s * context.dst.shape.c,
                                   context.state->gradients(context.node.index, Role::weights) + s * weights,
                                   context.state->unscale(), shared, chunks_of(src), params.weights_per_source,
                                   static_cast<int>(params.normalization)});
}

MultiplyArgs product(const Tensor& first, const Tensor& second, const Tensor& dst, bool add) {
    return {view_of(first), view_of(second), {}, view_of(dst), pixels_of(dst), dst.shape.c, kNoActivation, add};
}

}  // namespace

void add_slope(Launches& back, const TrainContext& context, Activation activation) {
    if (activation == Activation::linear) return;
    const View delta = view_of(delta_of(context.dst)), argument{context.kept.argument, context.dst.shape.c};
    back.add(kernel::activate_backward, context.dst.type, static_cast<long long>(context.dst.size()),
             ActivateBackwardArgs{argument, view_of(context.dst), delta, delta, pixels_of(context.dst),
                                  context.dst.shape.c, static_cast<int>(activation), false});
}

std::unique_ptr<Kernel> train_shortcut(const TrainContext& context) {
    const auto& params = context.node.as<ShortcutParams>();
    auto kernel = std::make_unique<TwoWay>(context, make_shortcut(context));
    if (!context.trains()) return kernel;
    add_slope(kernel->back, context, params.activation);
    for (std::size_t s = 0; s < context.src.size(); ++s) {
        const Tensor target = delta_of(context.src[s]);
        const int shared = std::min(context.src[s].shape.c, context.dst.shape.c);
        const bool weighted = params.weights_per_source > 0;
        if (weighted) add_weight_gradients(kernel->back, context, s, shared);
        if (!context.wants(s)) continue;
        if (!context.adds(s) && shared < target.shape.c) kernel->back.add_clear(target);
        add_copy(kernel->back, context, delta_of(context.dst), target, shared,
                 weighted ? context.kept.factors + s * context.dst.shape.c : nullptr, context.adds(s));
    }
    return kernel;
}

std::unique_ptr<Kernel> train_scale_channels(const TrainContext& context) {
    const auto& params = context.node.as<ScaleChannelsParams>();
    const Tensor delta = delta_of(context.dst), &factors = context.src[0], &src = context.src[1];
    const int pixels = pixels_of_image(src), channels = src.shape.c;
    auto kernel = std::make_unique<TwoWay>(context, make_scale_channels(context));
    if (context.trains()) add_slope(kernel->back, context, params.activation);
    if (context.wants(0)) {
        const ScaleFactorsArgs args{view_of(delta), view_of(src),   view_of(delta_of(factors)), context.batch, pixels,
                                    channels,       context.adds(0)};
        if (params.scale_wh)
            kernel->back.add(kernel::scale_factors_by_pixel, delta.type, pixels_of(src), args);
        else
            kernel->back.add(kernel::scale_factors_by_channel, delta.type,
                             Grid{tiles_of(channels), static_cast<unsigned>(context.batch), 1}, args);
    }
    if (context.wants(1))
        kernel->back.add(kernel::scale_channels, delta.type, static_cast<long long>(src.size()),
                         ScaleChannelsArgs{view_of(factors),
                                           view_of(delta),
                                           {},
                                           view_of(delta_of(src)),
                                           context.batch,
                                           pixels,
                                           channels,
                                           kNoActivation,
                                           params.scale_wh,
                                           context.adds(1)});
    return kernel;
}

std::unique_ptr<Kernel> train_sam(const TrainContext& context) {
    const Tensor delta = delta_of(context.dst);
    auto kernel = std::make_unique<TwoWay>(context, make_sam(context));
    if (context.trains()) add_slope(kernel->back, context, context.node.as<SamParams>().activation);
    for (std::size_t s : {0, 1})
        if (context.wants(s))
            kernel->back.add(kernel::multiply, delta.type, static_cast<long long>(delta.size()),
                             product(delta, context.src[1 - s], delta_of(context.src[s]), context.adds(s)));
    return kernel;
}

std::unique_ptr<Kernel> train_implicit(const TrainContext& context) {
    const int pixels = pixels_of_image(context.dst), channels = context.dst.shape.c;
    auto kernel = std::make_unique<TwoWay>(context, make_implicit(context));
    if (context.trains())
        kernel->back.add(
            kernel::sum_images, context.dst.type, 1LL * pixels * channels,
            SumImagesArgs{view_of(delta_of(context.dst)), context.state->gradients(context.node.index, Role::weights),
                          context.state->unscale(), context.batch, pixels, channels});
    if (context.wants(0) && !context.adds(0)) kernel->back.add_clear(delta_of(context.src[0]));  // it is not read
    return kernel;
}

std::unique_ptr<Kernel> train_normalization(const TrainContext& context) {
    const auto& params = context.node.as<NormalizationParams>();
    auto kernel = std::make_unique<TwoWay>(context, make_normalization(context));
    if (context.wants(0))
        kernel->back.add(
            kernel::normalize_response_backward, context.dst.type, static_cast<long long>(context.dst.size()),
            ResponseArgs{view_of(context.src[0]), view_of(context.dst), view_of(delta_of(context.dst)),
                         view_of(delta_of(context.src[0])), context.kept.norms, pixels_of(context.dst),
                         context.dst.shape.c, params.size, params.alpha, params.beta, params.kappa, context.adds(0)});
    return kernel;
}

std::unique_ptr<Kernel> train_activation(const TrainContext& context) {
    const Activation activation = context.node.as<ActivationParams>().activation;
    auto kernel = std::make_unique<TwoWay>(context, make_activation(context));
    if (!context.wants(0)) return kernel;
    const View dst = view_of(context.dst), delta = view_of(delta_of(context.dst));
    const View target = view_of(delta_of(context.src[0]));
    const long long pixels = pixels_of(context.dst);
    const int channels = context.dst.shape.c, code = static_cast<int>(activation);
    if (is_pointwise(activation))
        kernel->back.add(
            kernel::activate_backward, context.dst.type, pixels * channels,
            ActivateBackwardArgs{view_of(context.src[0]), dst, delta, target, pixels, channels, code, context.adds(0)});
    else
        kernel->back.add(kernel::normalize_channels_backward, context.dst.type, pixels,
                         NormalizeChannelsBackwardArgs{dst, delta, target, pixels, channels, code, context.adds(0),
                                                       context.state->unscale()});
    return kernel;
}

}  // namespace dn::cuda
