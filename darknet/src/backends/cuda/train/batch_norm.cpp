// SPDX-License-Identifier: Apache-2.0
#include "batch_norm.hpp"

namespace dn::cuda {

NormAndActivate::NormAndActivate(const TrainContext& context, Activation activation, bool normalize)
    : shape_(context.dst),
      activation_(static_cast<int>(activation)),
      normalize_(normalize),
      measures_(normalize && context.trains()),
      kept_(context.kept),
      by_{normalize ? kept_.mean : nullptr, kept_.inverse, parameter(context, Role::scales),
          parameter(context, Role::biases)},
      rolling_means_(context.state->rolling(context.node.index, Role::means)),
      rolling_variances_(context.state->rolling(context.node.index, Role::variances)),
      bias_gradients_(context.state->gradients(context.node.index, Role::biases)),
      scale_gradients_(context.state->gradients(context.node.index, Role::scales)),
      variances_(parameter(context, Role::variances)),
      unscale_(context.state->unscale()),
      moments_(context.runtime, kernel::moments, shape_.type),
      statistics_(context.runtime, kernel::statistics, shape_.type),
      inverse_(context.runtime, kernel::inverse_deviation, shape_.type),
      values_(context.runtime, kernel::normalize, shape_.type),
      sums_(context.runtime, kernel::normalize_sums, shape_.type),
      deltas_(context.runtime, kernel::normalize_backward, shape_.type),
      gradients_(context.runtime, kernel::normalize_gradients, shape_.type) {
    if (normalize_ && !measures_) by_.mean = parameter(context, Role::means);
}

void NormAndActivate::measure(View src, float* partial) const {
    moments_(grid_of_sums(shape_), {src, partial, pixels_of(shape_), shape_.shape.c});
    statistics_(shape_.shape.c, {src, partial, kept_.mean, kept_.inverse, rolling_means_, rolling_variances_,
                                 pixels_of(shape_), shape_.shape.c, chunks_of(shape_)});
}

void NormAndActivate::forward(View src, View dst, float* scratch) const {
    if (measures_)
        measure(src, scratch);
    else if (normalize_)
        inverse_(shape_.shape.c, {variances_, kept_.inverse, shape_.shape.c});
    values_(static_cast<long long>(shape_.size()), {src, dst, by_, pixels_of(shape_), shape_.shape.c, activation_});
}

void NormAndActivate::backward(View src, View delta, View target, bool add, float* scratch) const {
    const NormalizeBackwardArgs args{src,
                                     delta,
                                     target,
                                     by_,
                                     scratch,
                                     kept_.mean_delta,
                                     kept_.mean_product,
                                     pixels_of(shape_),
                                     shape_.shape.c,
                                     activation_,
                                     add};
    sums_(grid_of_sums(shape_), args);
    gradients_(shape_.shape.c, {scratch, bias_gradients_, normalize_ ? scale_gradients_ : nullptr, kept_.mean_delta,
                                kept_.mean_product, unscale_, pixels_of(shape_), shape_.shape.c, chunks_of(shape_)});
    if (target.data != delta.data || normalize_ || activation_ != kLinear)
        deltas_(static_cast<long long>(shape_.size()), args);
}

namespace {

// [batchnorm]: without an activation.
class TrainBatchNorm : public Kernel {
public:
    explicit TrainBatchNorm(const TrainContext& context) : context_(context), norm_(context, Activation::linear, true) {
        context.runtime.reserve(
            train_scratch_bytes(context.node, context.src, context.dst, context.compute, context.flow));
    }
    std::string what() const override { return "batchnorm"; }

    void forward() override { norm_.forward(view_of(context_.src[0]), view_of(context_.dst), scratch()); }
    void backward() override {
        const View delta = view_of(delta_of(context_.dst));
        const bool wants = context_.wants(0);
        norm_.backward(view_of(context_.src[0]), delta, wants ? view_of(delta_of(context_.src[0])) : delta,
                       wants && context_.adds(0), scratch());
    }

private:
    float* scratch() const { return reinterpret_cast<float*>(context_.runtime.scratch()); }

    const TrainContext context_;
    const NormAndActivate norm_;
};

}  // namespace

std::unique_ptr<Kernel> train_batchnorm(const TrainContext& context) {
    return std::make_unique<TrainBatchNorm>(context);
}

}  // namespace dn::cuda
