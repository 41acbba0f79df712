// SPDX-License-Identifier: Apache-2.0
// [convolutional] in training: three oneDNN primitives around NormAndActivate. Weights are kept in float32 and packed
// again after every update; gradients are summed in float32. Where oneDNN has no bf16 primitives, tensors and weights
// are rounded to bf16 as elsewhere, and copied to float32 for them.
#include "../isa.hpp"
#include "../rows.hpp"
#include "batch_norm.hpp"
#include "slopes.hpp"

namespace dn::cpu {
namespace {

using dnnl::memory;
using Arguments = std::unordered_map<int, memory>;

// Geometry as oneDNN wants it.
struct Window {
    memory::dims strides, dilates, near, far;
};

class TrainConvolution : public TrainKernel {
public:
    explicit TrainConvolution(const TrainContext& context)
        : context_(context),
          finish_(context, params().activation, params().batch_normalize),
          operand_(multiplied_as(context.compute)),
          sums_storage_(dense_bytes(context.dst)),
          sums_(dense_at(context.dst, sums_storage_.data())) {
        make_forward();
        if (!context.training()) return;
        make_backward_weights();
        if (context.src[0].delta) make_backward_data();
    }

    std::string what() const override { return name_; }
    bool fast() const { return fast_; }  // oneDNN has an implementation for each of its primitives

    void forward() override {
        pack(weights_, packed_);
        const Tensor sums = as_operand(sums_, dst_scratch());
        execute(forward_,
                {{DNNL_ARG_SRC, source()}, {DNNL_ARG_WEIGHTS, weights_}, {DNNL_ARG_DST, view(dst_desc_, sums.data)}});
        if (sums.data != sums_.data) move_channels(sums, 0, sums_, 0, sums_.shape.c, true);
        finish_.forward(sums_, context_.dst);
    }

    void backward() override {
        const Tensor delta = delta_of(context_.dst);
        finish_.backward(sums_, delta);
        const memory diff_dst = multiplied(delta);
        execute(backward_weights_,
                {{DNNL_ARG_SRC, source()}, {DNNL_ARG_DIFF_DST, diff_dst}, {DNNL_ARG_DIFF_WEIGHTS, weight_gradients_}});
        reorder(weight_gradients_, plain(plain_gradients_.data()));
        add(context_.gradients->weights.data(), plain_gradients_.data(), plain_gradients_.size());
        if (context_.src[0].delta) pass_back(diff_dst);
    }

private:
    const ConvolutionalParams& params() const { return context_.node.as<ConvolutionalParams>(); }
    dnnl::engine& engine() const { return context_.runtime.engine(); }

    Window window() const {
        const Shape in = context_.src[0].shape, out = context_.dst.shape;
        const int k = (params().size - 1) * params().dilation + 1, pad = params().padding * params().dilation;
        const int d = params().dilation - 1;
        return {{params().stride_y, params().stride_x},
                {d, d},
                {pad, pad},
                {(out.h - 1) * params().stride_y + k - in.h - pad, (out.w - 1) * params().stride_x + k - in.w - pad}};
    }

    memory::dims weight_dims() const {
        const int g = params().groups, k = params().size;
        const int in = context_.src[0].shape.c / g, out = context_.dst.shape.c / g;
        return g == 1 ? memory::dims{out, in, k, k} : memory::dims{g, out, in, k, k};
    }

    memory::desc any_weights(memory::data_type type) const { return {weight_dims(), type, memory::format_tag::any}; }

    // Weights in Darknet's order.
    memory plain(const float* data) const {
        const auto tag = params().groups == 1 ? memory::format_tag::oihw : memory::format_tag::goihw;
        return {{weight_dims(), memory::data_type::f32, tag}, engine(), const_cast<float*>(data)};
    }

    dnnl::primitive_attr attributes() const {
        dnnl::primitive_attr attributes;
        attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
        return attributes;
    }

    template <class Description>
    void accept(const Description& description) {
        const std::string name = description.impl_info_str();
        if (name.find("ref") == 0 || name.find("simple") == 0) fast_ = false;
        if (name_.empty()) name_ = name;
        context_.runtime.reserve(2 * aligned(description.scratchpad_desc().get_size()) +
                                 operand_bytes(context_.src[0]) + operand_bytes(context_.dst));
    }

    void make_forward() {
        const Window w = window();
        src_desc_ = describe(context_.src[0].n, context_.src[0].shape, operand_);
        dst_desc_ = describe(sums_.n, sums_.shape, multiplied_as(sums_.type));
        description_ = {engine(),
                        dnnl::prop_kind::forward_training,
                        dnnl::algorithm::convolution_direct,
                        src_desc_,
                        any_weights(dnnl_type(operand_)),
                        dst_desc_,
                        w.strides,
                        w.dilates,
                        w.near,
                        w.far,
                        attributes()};
        accept(description_);
        forward_ = dnnl::convolution_forward(description_);
        weights_ = memory(description_.weights_desc(), engine());
        scratch_sizes_ = description_.scratchpad_desc();
    }

    memory::desc diff_dst_desc() const { return describe(context_.dst.n, context_.dst.shape, operand_); }

    void make_backward_weights() {
        const Window w = window();
        const dnnl::convolution_backward_weights::primitive_desc description(
            engine(), dnnl::algorithm::convolution_direct, src_desc_, any_weights(memory::data_type::f32),
            diff_dst_desc(), w.strides, w.dilates, w.near, w.far, description_, attributes());
        accept(description);
        backward_weights_ = dnnl::convolution_backward_weights(description);
        weight_gradients_ = memory(description.diff_weights_desc(), engine());
        backward_weights_scratch_ = description.scratchpad_desc();
        plain_gradients_.resize(context_.params->weights.size());
    }

    void make_backward_data() {
        const Window w = window();
        const dnnl::convolution_backward_data::primitive_desc description(
            engine(), dnnl::algorithm::convolution_direct, src_desc_, any_weights(dnnl_type(operand_)), diff_dst_desc(),
            w.strides, w.dilates, w.near, w.far, description_, attributes());
        accept(description);
        backward_data_ = dnnl::convolution_backward_data(description);
        backward_weights_format_ = memory(description.weights_desc(), engine());
        backward_data_scratch_ = description.scratchpad_desc();
    }

    // -- running ---------------------------------------------------------------------------------------------------

    // Scratch: [primitive's own][sums or their delta][source or its delta], as the primitives want them.
    std::byte* dst_scratch() const {
        std::size_t own = aligned(scratch_sizes_.get_size());
        if (context_.training())
            own = std::max(
                {own, aligned(backward_weights_scratch_.get_size()), aligned(backward_data_scratch_.get_size())});
        return context_.runtime.scratch() + own;
    }
    std::byte* src_scratch() const { return dst_scratch() + operand_bytes(context_.dst); }

    std::size_t operand_bytes(const Tensor& tensor) const { return aligned(tensor.size() * bytes(operand_)); }

    // The tensor itself where primitives take its type, else room for a copy of it.
    Tensor as_operand(const Tensor& tensor, std::byte* scratch) const {
        if (multiplied_as(tensor.type) == tensor.type) return tensor;
        Tensor copy = dense_at(tensor, scratch);
        copy.type = multiplied_as(tensor.type);
        return copy;
    }

    memory source() const {
        const Tensor src = context_.src[0], operand = as_operand(src, src_scratch());
        if (operand.data != src.data) move_channels(src, 0, operand, 0, src.shape.c, true);
        return view(src_desc_, operand.data);
    }

    memory plain_weights() {
        const Floats& weights = context_.params->weights;
        if (operand_ == context_.compute) return plain(weights.data());
        rounded_ = weights;
        round_to_bf16(rounded_.data(), rounded_.size());
        return plain(rounded_.data());
    }

    memory view(const memory::desc& desc, void* data) const { return {desc, engine(), data}; }

    void reorder(memory from, memory to) { dnnl::reorder(from, to).execute(context_.runtime.stream(), from, to); }

    // The weights into the format of a primitive, unless it has these already.
    void pack(const memory& packed, std::uint64_t& version) {
        const std::uint64_t wanted = context_.weights_version + 1;
        if (version == wanted) return;
        reorder(plain_weights(), packed);
        version = wanted;
    }

    template <class Primitive>
    void execute(const Primitive& primitive, Arguments arguments) {
        const memory::desc scratch = scratch_of(primitive);
        arguments[DNNL_ARG_SCRATCHPAD] = memory(scratch, engine(), context_.runtime.scratch());
        primitive.execute(context_.runtime.stream(), arguments);
    }
    const memory::desc& scratch_of(const dnnl::convolution_forward&) const { return scratch_sizes_; }
    const memory::desc& scratch_of(const dnnl::convolution_backward_weights&) const {
        return backward_weights_scratch_;
    }
    const memory::desc& scratch_of(const dnnl::convolution_backward_data&) const { return backward_data_scratch_; }

    // The delta in the type of products: itself, or a copy in scratch (outputs that heads read are float32).
    memory multiplied(const Tensor& delta) {
        if (delta.type == operand_) return view(diff_dst_desc(), delta.data);
        Tensor copy = dense_at(delta, dst_scratch());
        copy.type = operand_;
        move_channels(delta, 0, copy, 0, delta.shape.c, true);
        return view(diff_dst_desc(), copy.data);
    }

    void pass_back(const memory& diff_dst) {
        pack(backward_weights_format_, packed_backward_);
        const Tensor target = delta_of(context_.src[0]);
        Tensor result = as_operand(target, src_scratch());
        if (!context_.overwrite[0]) result.data = src_scratch();
        execute(backward_data_, {{DNNL_ARG_DIFF_DST, diff_dst},
                                 {DNNL_ARG_WEIGHTS, backward_weights_format_},
                                 {DNNL_ARG_DIFF_SRC, view(src_desc_, result.data)}});
        if (result.data != target.data) move_channels(result, 0, target, 0, target.shape.c, context_.overwrite[0]);
    }

    const TrainContext context_;
    NormAndActivate finish_;
    DType operand_;  // in which values are multiplied
    AlignedBuffer sums_storage_;
    Tensor sums_;  // of the convolution, in front of batch norm
    std::string name_;
    bool fast_ = true;
    memory::desc src_desc_, dst_desc_;
    dnnl::convolution_forward::primitive_desc description_;
    dnnl::convolution_forward forward_;
    dnnl::convolution_backward_weights backward_weights_;
    dnnl::convolution_backward_data backward_data_;
    memory::desc scratch_sizes_, backward_weights_scratch_, backward_data_scratch_;
    memory weights_, weight_gradients_, backward_weights_format_;
    std::uint64_t packed_ = 0, packed_backward_ = 0;  // 1 + the version of the weights in each format; 0: none
    Floats plain_gradients_, rounded_;
};

}  // namespace

std::unique_ptr<TrainKernel> make_train_convolution(const TrainContext& context) {
    auto kernel = std::make_unique<TrainConvolution>(context);
    if (!kernel->fast()) return nullptr;
    return kernel;
}

}  // namespace dn::cpu
