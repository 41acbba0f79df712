// SPDX-License-Identifier: Apache-2.0
// [convolutional]: a oneDNN primitive with bias, activation and a fused shortcut in the same pass where oneDNN has
// them, and a pass of our own over its result where not.
#include <optional>

#include "../../layers/layer.hpp"
#include "../ref/ref.hpp"

#include "blur.hpp"
#include "conv_primitive.hpp"
#include "cpu.hpp"
#include "elementwise.hpp"
#include "layout.hpp"
#include "../../passes/passes.hpp"

namespace dn::cpu {
namespace {

std::size_t dense_bytes(const Tensor& tensor) {
    return (tensor.size() * bytes(tensor.type) + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
}

// The same values without gaps between pixels, at `data`.
Tensor dense_at(const Tensor& tensor, void* data) {
    Tensor dense = tensor;
    dense.data = data;
    dense.pitch = tensor.shape.c;
    return dense;
}

ConvGeometry geometry_of(const ConvolutionalParams& params) {
    const bool blurred = params.antialiasing != 0;  // the strides belong to the blur then
    return {params.groups,
            params.size,
            blurred ? 1 : params.stride_x,
            blurred ? 1 : params.stride_y,
            params.padding * params.dilation,
            params.dilation};
}

class Convolution : public Kernel {
public:
    explicit Convolution(const Context& context)
        : runtime_(context.runtime),
          src_(context.src[0]),
          dst_(context.dst),
          residual_(context.residual),
          activation_(context.node.as<ConvolutionalParams>().activation),
          residual_activation_(context.node.residual_activation) {
        // oneDNN has no convolution from float32 to bf16: the source is rounded first.
        used_ = src_;
        if (src_.type == DType::f32 && dst_.type == DType::bf16) used_.type = DType::bf16;
        const auto& params = context.node.as<ConvolutionalParams>();
        const ConvGeometry geometry = geometry_of(params);
        if (!make_fused(geometry)) make_plain(geometry);
        const int owner = params.share_index >= 0 ? params.share_index : context.node.index;
        weights_ = context.weights.get(owner, primitive_->weights_desc(),
                                       ConvPrimitive::plain_weights(geometry, src_.shape.c, dst_.shape.c),
                                       [&](float* plain) { fold_weights(*context.params, plain); });
        const dnnl::memory::desc biases({dst_.shape.c}, dnnl::memory::data_type::f32, dnnl::memory::format_tag::x);
        biases_ = context.weights.get(owner, biases, biases, [&](float* plain) { fold_biases(*context.params, plain); });
        dst_at_ = reads_source() ? 0 : dense_bytes(used_);
        scratch_at_ = dst_at_ + (direct_ ? 0 : dense_bytes(dst_));
        runtime_.reserve(scratch_at_ + primitive_->scratch_size());
    }

    void forward() override {
        std::byte* scratch = runtime_.scratch();
        Tensor src = src_;
        if (!reads_source()) copy_channels(src_, 0, src = dense_at(used_, scratch));
        const Tensor dst = direct_ ? dst_ : dense_at(dst_, scratch + dst_at_);
        primitive_->execute(src.data, weights_, static_cast<const float*>(biases_.get_data_handle()), dst.data,
                            scratch + scratch_at_, fused_addend_, addend_at_);
        if (epilogue_)
            finish(dst);
        else if (!direct_)
            copy_channels(dst, 0, dst_);
    }

    std::string what() const override { return primitive_->what() + (epilogue_ ? "+epilogue" : ""); }

private:
    bool reads_source() const { return src_.dense() && used_.type == src_.type; }
    bool in_place() const { return residual_.data && residual_.data == dst_.data; }

    // Everything in one pass of oneDNN; false when it has no such function or no fast implementation.
    bool make_fused(const ConvGeometry& geometry) {
        dnnl::post_ops ops;
        if (!append_activation(ops, activation_)) return false;
        addend_at_ = ops.len();
        if (residual_.data) {
            if (!residual_.dense() || residual_.type != dst_.type || (in_place() && !dst_.dense())) return false;
            if (in_place())
                ops.append_sum(1.0f);
            else
                ops.append_binary(dnnl::algorithm::binary_add, describe(dst_.n, dst_.shape, dst_.type));
            if (!append_activation(ops, residual_activation_)) return false;
        }
        try {
            primitive_.emplace(runtime_, geometry, describe(used_.n, used_.shape, used_.type),
                               describe(dst_.n, dst_.shape, dst_.type), ops);
        } catch (const dnnl::error&) {
            return false;  // no implementation has these post-operations
        }
        if (primitive_->is_reference()) return false;
        direct_ = dst_.dense();
        fused_addend_ = residual_.data && !in_place() ? residual_.data : nullptr;
        return true;
    }

    void make_plain(const ConvGeometry& geometry) {
        primitive_.emplace(runtime_, geometry, describe(used_.n, used_.shape, used_.type),
                           describe(dst_.n, dst_.shape, dst_.type), dnnl::post_ops());
        epilogue_ = true;
        direct_ = dst_.dense() && !in_place();
        fused_addend_ = nullptr;
    }

    // dst_ = activation(linear) + residual, from the convolution's linear result.
    void finish(const Tensor& linear) const {
        const bool per_pixel = normalizes_channels(activation_);
        const bool flat = !per_pixel && all_dense({&linear, &dst_}) && (!residual_.data || residual_.dense());
        for_each_run(dst_, flat, [&](const Run& run) {
            float x[kRow];
            load(x, linear, run);
            if (per_pixel)
                normalize_channels(x, run.count, activation_);
            else
                activate(x, run.count, activation_);
            if (residual_.data) {
                float y[kRow];
                load(y, residual_, run);
                add(x, y, run.count);
                activate(x, run.count, residual_activation_);
            }
            store(dst_, run, x);
        });
    }

    Runtime& runtime_;
    Tensor src_, used_, dst_, residual_;
    Activation activation_, residual_activation_;
    std::optional<ConvPrimitive> primitive_;
    dnnl::memory weights_, biases_;
    bool direct_ = false;    // the primitive writes dst_ itself
    bool epilogue_ = false;  // a pass of our own follows
    const void* fused_addend_ = nullptr;
    int addend_at_ = 0;
    std::size_t dst_at_ = 0, scratch_at_ = 0;  // in the scratch area: a dense dst, and oneDNN's own
};

// Whether a normalised pixel exceeds a staging row, or the windows are not those that the output's shape counts.
bool needs_reference(const Context& context) {
    const auto& params = context.node.as<ConvolutionalParams>();
    if (normalizes_channels(params.activation) && static_cast<std::size_t>(params.filters) > kRow) return true;
    const Shape unfolded = unfolded_shape(params, context.src[0].shape);
    const bool blurred = params.antialiasing != 0;
    return !blurred && (unfolded.h != context.dst.shape.h || unfolded.w != context.dst.shape.w);
}

}  // namespace

std::unique_ptr<Kernel> make_convolutional(const Context& context) {
    const auto& params = context.node.as<ConvolutionalParams>();
    if (needs_reference(context)) return make_by_reference(context, ref::make_convolutional);
    if (params.antialiasing == 0) return std::make_unique<Convolution>(context);
    const Shape in = context.src[0].shape;
    const int shrink = 2 * params.padding - params.size + 1;
    return make_blurred(context, {params.antialiasing, params.stride_x, params.stride_y},
                        {params.filters, in.h + shrink, in.w + shrink}, [&](const Tensor& sharp) {
                            Context unblurred = context;
                            unblurred.dst = sharp;
                            return std::make_unique<Convolution>(unblurred);
                        });
}

}  // namespace dn::cpu
