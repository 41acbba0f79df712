// SPDX-License-Identifier: Apache-2.0
// [connected]: a matrix product over the whole image, then batch-norm (folded) and an activation.
#include "../../passes/passes.hpp"
#include "../ref/ref.hpp"

#include "cpu.hpp"
#include "elementwise.hpp"
#include "isa.hpp"
#include "layout.hpp"

namespace dn::cpu {
namespace {

using dnnl::memory;

class Connected : public Kernel {
public:
    explicit Connected(const Context& context)
        : runtime_(context.runtime),
          src_(context.src[0]),
          dst_(context.dst),
          operand_(dense_at(src_, nullptr)),
          result_(dense_at(dst_, nullptr)),
          activation_(context.node.as<ConnectedParams>().activation) {
        const memory::dim in_c = src_.shape.c, in_h = src_.shape.h, in_w = src_.shape.w, out = dst_.shape.c;
        // oneDNN has no product from float32 to bfloat16: there the source is rounded first.
        const DType value_type = src_.type == DType::f32 ? dst_.type : src_.type;
        operand_.type = multiplied_as(value_type);
        result_.type = multiplied_as(dst_.type);
        reads_source_ = src_.dense() && src_.type == operand_.type;
        writes_result_ = dst_.type == result_.type;
        const memory::desc src = describe(src_.n, src_.shape, operand_.type);
        const memory::desc any({out, in_c, in_h, in_w}, dnnl_type(operand_.type), memory::format_tag::any);
        const memory::desc biases({out}, memory::data_type::f32, memory::format_tag::x);
        const memory::desc dst({dst_.n, out}, dnnl_type(result_.type), memory::format_tag::nc);
        dnnl::primitive_attr attributes;
        attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
        description_ = {runtime_.engine(), dnnl::prop_kind::forward_inference, src, any, biases, dst, attributes};
        primitive_ = dnnl::inner_product_forward(description_);
        // The file's order is that of planes; the reorder takes it to channels-last with everything else.
        const memory::desc plain({out, in_c, in_h, in_w}, memory::data_type::f32, memory::format_tag::oihw);
        const int node = context.node.index;
        weights_ = context.weights.get(
            node, description_.weights_desc(), plain, [&](float* values) { fold_weights(*context.params, values); },
            operand_.type != value_type);
        biases_ =
            context.weights.get(node, biases, biases, [&](float* values) { fold_biases(*context.params, values); });
        result_at_ = reads_source_ ? 0 : dense_bytes(operand_);
        scratch_at_ = result_at_ + (writes_result_ ? 0 : dense_bytes(result_));
        runtime_.reserve(scratch_at_ + description_.scratchpad_desc().get_size());
    }

    void forward() override {
        Tensor src = src_;
        if (!reads_source_) copy_channels(src_, 0, src = dense_at(operand_, runtime_.scratch()));
        const Tensor result = writes_result_ ? dst_ : dense_at(result_, runtime_.scratch() + result_at_);
        const auto wrap = [&](const memory::desc& desc, void* data) { return memory(desc, runtime_.engine(), data); };
        primitive_.execute(
            runtime_.stream(),
            {{DNNL_ARG_SRC, wrap(description_.src_desc(), src.data)},
             {DNNL_ARG_WEIGHTS, weights_},
             {DNNL_ARG_BIAS, biases_},
             {DNNL_ARG_DST, wrap(description_.dst_desc(), result.data)},
             {DNNL_ARG_SCRATCHPAD, wrap(description_.scratchpad_desc(), runtime_.scratch() + scratch_at_)}});
        runtime_.stream().wait();
        for_each_run(dst_, true, [&](const Run& run) {
            float row[kRow];
            load(row, result, run);
            activate(row, run.count, activation_);
            store(dst_, run, row);
        });
    }

    std::string what() const override { return description_.impl_info_str(); }

private:
    Runtime& runtime_;
    Tensor src_, dst_;
    Tensor operand_, result_;  // src_ and dst_ as the primitive has them, without their addresses
    Activation activation_;
    dnnl::inner_product_forward::primitive_desc description_;
    dnnl::inner_product_forward primitive_;
    memory weights_, biases_;
    bool reads_source_, writes_result_;
    std::size_t result_at_, scratch_at_;  // in the scratch area, behind the operand
};

}  // namespace

std::unique_ptr<Kernel> make_connected(const Context& context) {
    if (normalizes_channels(context.node.as<ConnectedParams>().activation))
        return make_by_reference(context, ref::make_connected);
    return std::make_unique<Connected>(context);
}

}  // namespace dn::cpu
