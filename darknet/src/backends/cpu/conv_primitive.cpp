// SPDX-License-Identifier: Apache-2.0
#include "conv_primitive.hpp"

#include "../../passes/passes.hpp"

namespace dn::cpu {
namespace {

using dnnl::algorithm;
using dnnl::memory;

// Right and bottom padding such that the window fits exactly as often as Darknet's shape says.
memory::dim far_padding(memory::dim in, memory::dim out, int stride, int size, int dilation, int pad) {
    return (out - 1) * stride + (size - 1) * dilation + 1 - in - pad;
}

memory::dims weight_dims(const ConvGeometry& geometry, memory::dim channels, memory::dim filters) {
    const memory::dim g = geometry.groups, k = geometry.size;
    if (g == 1) return {filters, channels, k, k};
    return {g, filters / g, channels / g, k, k};
}

dnnl::convolution_forward::primitive_desc describe_primitive(Runtime& runtime, const ConvGeometry& geometry,
                                                             const memory::desc& src, const memory::desc& dst,
                                                             const dnnl::post_ops& ops) {
    dnnl::primitive_attr attributes;
    attributes.set_post_ops(ops);
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const memory::dims in = src.get_dims(), out = dst.get_dims();
    const memory::desc weights(weight_dims(geometry, in[1], out[1]), src.get_data_type(), memory::format_tag::any);
    const memory::desc biases({out[1]}, memory::data_type::f32, memory::format_tag::x);
    const int k = geometry.size, d = geometry.dilation;
    return {runtime.engine(),
            dnnl::prop_kind::forward_inference,
            algorithm::convolution_direct,
            src,
            weights,
            biases,
            dst,
            {geometry.stride_y, geometry.stride_x},
            {d - 1, d - 1},
            {geometry.pad_y, geometry.pad_x},
            {far_padding(in[2], out[2], geometry.stride_y, k, d, geometry.pad_y),
             far_padding(in[3], out[3], geometry.stride_x, k, d, geometry.pad_x)},
            attributes};
}

}  // namespace

Tensor ConvTask::operand() const {
    Tensor tensor = dense_at(src, nullptr);
    tensor.type = operand_type();
    return tensor;
}

bool append_activation(dnnl::post_ops& ops, Activation activation) {
    switch (activation) {
        case Activation::linear:
            return true;
        case Activation::leaky:
            ops.append_eltwise(algorithm::eltwise_relu, 0.1f, 0);
            return true;
        case Activation::relie:
            ops.append_eltwise(algorithm::eltwise_relu, 0.01f, 0);
            return true;
        case Activation::relu:
            ops.append_eltwise(algorithm::eltwise_relu, 0, 0);
            return true;
        case Activation::relu6:
            ops.append_eltwise(algorithm::eltwise_clip_v2, 0, 6);
            return true;
        case Activation::hardtan:
            ops.append_eltwise(algorithm::eltwise_clip_v2, -1, 1);
            return true;
        case Activation::elu:
            ops.append_eltwise(algorithm::eltwise_elu, 1, 0);
            return true;
        case Activation::logistic:
            ops.append_eltwise(algorithm::eltwise_logistic, 0, 0);
            return true;
        case Activation::tanh:
            ops.append_eltwise(algorithm::eltwise_tanh, 0, 0);
            return true;
        case Activation::gelu:
            ops.append_eltwise(algorithm::eltwise_gelu_tanh, 0, 0);
            return true;
        case Activation::swish:
            ops.append_eltwise(algorithm::eltwise_swish, 1, 0);
            return true;
        case Activation::mish:
            ops.append_eltwise(algorithm::eltwise_mish, 0, 0);
            return true;
        default:
            return false;
    }
}

ConvPrimitive::ConvPrimitive(Runtime& runtime, const ConvGeometry& geometry, const memory::desc& src,
                             const memory::desc& dst, const dnnl::post_ops& ops)
    : runtime_(runtime), description_(describe_primitive(runtime, geometry, src, dst, ops)), primitive_(description_) {}

memory::desc ConvPrimitive::plain_weights(const ConvGeometry& geometry, int channels, int filters) {
    return {weight_dims(geometry, channels, filters), memory::data_type::f32,
            geometry.groups == 1 ? memory::format_tag::oihw : memory::format_tag::goihw};
}

ConvCall::ConvCall(const ConvPrimitive& primitive, const memory& weights, const float* biases, int addend_at)
    : primitive_(primitive.primitive_), stream_(primitive.runtime_.stream()), weights_(weights) {
    const auto& description = primitive.description_;
    const dnnl::engine& engine = primitive.runtime_.engine();
    src_ = memory(description.src_desc(), engine, nullptr);
    biases_ = memory(description.bias_desc(), engine, const_cast<float*>(biases));
    dst_ = memory(description.dst_desc(), engine, nullptr);
    scratch_ = memory(description.scratchpad_desc(), engine, nullptr);
    arguments_ = {{DNNL_ARG_SRC, src_.get()},
                  {DNNL_ARG_WEIGHTS, weights_.get()},
                  {DNNL_ARG_BIAS, biases_.get()},
                  {DNNL_ARG_DST, dst_.get()},
                  {DNNL_ARG_SCRATCHPAD, scratch_.get()}};
    if (addend_at < 0) return;
    addend_ = memory(description.dst_desc(), engine, nullptr);
    arguments_.push_back({DNNL_ARG_ATTR_MULTIPLE_POST_OP(addend_at) | DNNL_ARG_SRC_1, addend_.get()});
}

void ConvCall::run(const void* src, void* dst, void* scratch, const void* addend) {
    src_.set_data_handle(const_cast<void*>(src));
    dst_.set_data_handle(dst);
    scratch_.set_data_handle(scratch);
    if (addend) addend_.set_data_handle(const_cast<void*>(addend));
    dnnl::error::wrap_c_api(
        dnnl_primitive_execute(primitive_.get(), stream_.get(), static_cast<int>(arguments_.size()), arguments_.data()),
        "could not execute a convolution");
}

memory ConvPrimitive::pack_weights(const ConvTask& task) const {
    return task.weights.get(
        task.owner, weights_desc(), plain_weights(task.geometry, task.src.shape.c, task.dst.shape.c),
        [&](float* plain) { fold_weights(task.params, plain); }, task.rounds_weights());
}

const float* pack_biases(WeightStore& weights, int owner, const NodeParameters& params) {
    const memory::desc desc({static_cast<memory::dim>(params.biases.size())}, memory::data_type::f32,
                            memory::format_tag::x);
    const memory biases = weights.get(owner, desc, desc, [&](float* plain) { fold_biases(params, plain); });
    return static_cast<const float*>(biases.get_data_handle());  // the store keeps it
}

}  // namespace dn::cpu
