// SPDX-License-Identifier: Apache-2.0
// [convolutional] and [connected] in training: three graphs of cuDNN around NormAndActivate. A connected layer is a
// convolution of 1x1 over an image of one pixel.
#include <optional>

#include "../kernels/move.cuh"
#include "batch_norm.hpp"

namespace dn::cuda {
namespace {

class TrainConvolution : public Kernel {
public:
    explicit TrainConvolution(const TrainContext& context)
        : context_(context),
          shape_(convolution_shape(context)),
          filters_(filters_of(context.node, context.src[0].shape)),
          packed_(context.state->packed(context.node.index, {shape_.type, filters_.channels, filters_.window})),
          sums_(context.dst),
          norm_(context, activation_of(context.node), normalizes(context.node)),
          forward_(make(Pass::forward)) {
        if (context.kept.argument) sums_.data = context.kept.argument;
        if (context.trains()) {
            filter_.emplace(make(Pass::filter));
            add_gradients_ = Launch<FiltersArgs>(context.runtime, kernel::add_filter_gradients, shape_.type);
        }
        if (context.wants(0)) {
            data_.emplace(make(Pass::data));
            add_delta_ = Launch<CopyArgs>(context.runtime, kernel::copy, shape_.type);
        }
        context.runtime.reserve(workspace_ +
                                train_scratch_bytes(context.node, context.src, context.dst, shape_.type, context.flow));
    }

    std::string what() const override { return text("cudnn:", forward_.engine()); }

    void forward() override {
        forward_.run(context_.src[0].data, weights(), sums_.data, context_.runtime.scratch());
        norm_.forward(view_of(sums_), view_of(context_.dst), reinterpret_cast<float*>(scratch()));
    }

    void backward() override {
        const View delta = view_of(delta_of(context_.dst));
        norm_.backward(view_of(sums_), delta, delta, false, reinterpret_cast<float*>(scratch()));
        filter_->run(context_.src[0].data, scratch(), context_.dst.delta, context_.runtime.scratch());
        const std::size_t count = shape_.weight_count();
        add_gradients_(static_cast<long long>(count),
                       {context_.state->gradients(context_.node.index, Role::weights), scratch(),
                        static_cast<long long>(count / (filters_.channels * filters_.window)), filters_.channels,
                        filters_.window, context_.state->unscale()});
        if (data_) pass_back();
    }

private:
    // cuDNN's own, then that of train_scratch_bytes().
    std::byte* scratch() const { return context_.runtime.scratch() + workspace_; }
    void* weights() const { return const_cast<void*>(packed_); }

    Convolution make(Pass pass) {
        Convolution made(context_.runtime.dnn, shape_, pass, context_.node.where);
        workspace_ = std::max(workspace_, device_aligned(made.workspace_bytes()));
        return made;
    }

    void pass_back() const {
        const Tensor target = delta_of(context_.src[0]);
        Tensor result = target;
        if (context_.adds(0)) result.data = scratch();
        data_->run(result.data, weights(), context_.dst.delta, context_.runtime.scratch());
        if (!context_.adds(0)) return;
        const CopyArgs args{view_of(result), view_of(target), nullptr, pixels_of(target), target.shape.c, 1, true};
        add_delta_(static_cast<long long>(target.size()), args);
    }

    const TrainContext context_;
    const ConvolutionShape shape_;
    const Filters filters_;
    const void* const packed_;
    Tensor sums_;  // the convolution's output
    const NormAndActivate norm_;
    std::size_t workspace_ = 0;  // of the three passes
    const Convolution forward_;
    std::optional<Convolution> filter_, data_;
    Launch<FiltersArgs> add_gradients_;
    Launch<CopyArgs> add_delta_;
};

}  // namespace

std::unique_ptr<Kernel> train_convolution(const TrainContext& context) {
    return std::make_unique<TrainConvolution>(context);
}

}  // namespace dn::cuda
