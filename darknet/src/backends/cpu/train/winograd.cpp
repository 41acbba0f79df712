// SPDX-License-Identifier: Apache-2.0
// [convolutional] in training in Winograd's form: its sums, the gradients of its filters and those of its source.
// Filters are packed once per update.
#include <algorithm>
#include <optional>

#include "../conv_winograd.hpp"
#include "../winograd_gradient.hpp"
#include "batch_norm.hpp"

namespace dn::cpu {
namespace {

constexpr int kSize = 3;

WinogradGradientTask gradient_task(int tile, const Tensor& src, const Tensor& dst, int pad) {
    return {tile,      src.n,       src.f32(),   src.pitch,   src.shape.c, src.shape.h, src.shape.w, dst.delta_f32(),
            dst.pitch, dst.shape.c, dst.shape.h, dst.shape.w, pad,         nullptr};
}

class TrainWinograd : public TrainKernel {
public:
    TrainWinograd(const TrainContext& context, int tile)
        : context_(context),
          tile_(tile),
          finish_(context, params().activation, params().batch_normalize),
          sums_storage_(dense_bytes(context.dst)),
          sums_(dense_at(context.dst, sums_storage_.data())),
          weights_(winograd_floats(src().shape.c, sums_.shape.c)),
          forward_(context.runtime, tile, src(), sums_, params().padding, weights_.data(), {}),
          gradient_(gradient_task(tile, src(), context.dst, params().padding)) {
        if (!context.training()) return;
        context.runtime.reserve(winograd_gradient_scratch(gradient_) * sizeof(float));
        if (src().delta) make_backward();
    }

    std::string what() const override { return winograd_name(tile_); }

    void forward() override {
        pack(WinogradPass::forward, weights_, packed_);
        forward_.run();
        finish_.forward(sums_, context_.dst);
    }

    void backward() override {
        finish_.backward(sums_, delta_of(context_.dst));
        gradient_.gradients = context_.gradients->weights.data();
        add_filter_gradients(gradient_, reinterpret_cast<float*>(context_.runtime.scratch()));
        if (!backward_) return;
        pack(WinogradPass::backward, backward_weights_, packed_backward_);
        backward_->run();
    }

private:
    const ConvolutionalParams& params() const { return context_.node.as<ConvolutionalParams>(); }
    const Tensor& src() const { return context_.src[0]; }

    // The gradient of the source, written or added to what is there.
    void make_backward() {
        const Tensor target = delta_of(src());
        Epilogue epilogue;
        if (!context_.overwrite[0]) {
            epilogue.residual = target.f32();
            epilogue.residual_pitch = target.pitch;
        }
        backward_weights_.resize(winograd_floats(sums_.shape.c, target.shape.c));
        backward_.emplace(context_.runtime, tile_, delta_of(context_.dst), target, kSize - 1 - params().padding,
                          backward_weights_.data(), epilogue);
    }

    void pack(WinogradPass pass, Floats& packed, std::uint64_t& version) {
        const std::uint64_t wanted = context_.weights_version + 1;
        if (version == wanted) return;
        const bool forward = pass == WinogradPass::forward;
        const int in = src().shape.c, out = sums_.shape.c;
        pack_winograd(context_.params->weights.data(), forward ? in : out, forward ? out : in, pass, packed.data());
        version = wanted;
    }

    const TrainContext context_;
    int tile_;
    NormAndActivate finish_;
    AlignedBuffer sums_storage_;
    Tensor sums_;  // of the convolution, in front of batch norm
    Floats weights_, backward_weights_;
    WinogradConvolution forward_;
    WinogradGradientTask gradient_;
    std::optional<WinogradConvolution> backward_;
    std::uint64_t packed_ = 0, packed_backward_ = 0;  // 1 + the version of the weights; 0: none
};

}  // namespace

std::unique_ptr<TrainKernel> make_train_winograd(const TrainContext& context, int tile) {
    return std::make_unique<TrainWinograd>(context, tile);
}

std::size_t winograd_training_bytes(const Tensor& src, const Tensor& dst) {
    std::size_t weights = winograd_floats(src.shape.c, dst.shape.c);
    if (dst.delta && src.delta) weights += winograd_floats(dst.shape.c, src.shape.c);
    return dense_bytes(dst) + weights * sizeof(float);
}

std::size_t winograd_training_scratch(int tile, const Tensor& src, const Tensor& dst, int threads) {
    const auto of_pass = [&](const Tensor& from, const Tensor& to) {
        return divide_winograd(tile, to.n, from.shape, to.shape, threads).scratch_of_thread * threads;
    };
    std::size_t largest = of_pass(src, dst);
    if (!dst.delta) return largest;
    largest = std::max(largest, winograd_gradient_scratch(gradient_task(tile, src, dst, 0)) * sizeof(float));
    return src.delta ? std::max(largest, of_pass(dst, src)) : largest;
}

}  // namespace dn::cpu
