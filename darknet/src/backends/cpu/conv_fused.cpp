// SPDX-License-Identifier: Apache-2.0
// A convolution in one pass of oneDNN: bias, activation and residual as post-operations on dense tensors.
#include <optional>

#include "conv_primitive.hpp"
#include "layout.hpp"

namespace dn::cpu {
namespace {

class FusedConvolution : public Kernel {
public:
    FusedConvolution(const ConvTask& task, const ConvPrimitive& primitive, int addend_at)
        : runtime_(task.runtime),
          src_(task.src),
          operand_(task.operand()),
          reads_source_(task.reads_source()),
          dst_(task.dst),
          addend_(task.residual.data != task.dst.data ? task.residual.data : nullptr),
          what_(primitive.what()),
          call_(primitive, primitive.pack_weights(task), ConvPrimitive::pack_biases(task), addend_ ? addend_at : -1) {
        dst_at_ = reads_source_ ? 0 : dense_bytes(operand_);
        scratch_at_ = dst_at_ + (dst_.dense() ? 0 : dense_bytes(dst_));
        runtime_.reserve(scratch_at_ + primitive.scratch_size());
    }

    void forward() override {
        std::byte* scratch = runtime_.scratch();
        Tensor src = src_;
        if (!reads_source_) copy_channels(src_, 0, src = dense_at(operand_, scratch));
        const Tensor dst = dst_.dense() ? dst_ : dense_at(dst_, scratch + dst_at_);
        call_.run(src.data, dst.data, scratch + scratch_at_, addend_);
        if (!dst_.dense()) copy_channels(dst, 0, dst_);
    }

    std::string what() const override { return what_; }

private:
    Runtime& runtime_;
    Tensor src_, operand_;
    bool reads_source_;
    Tensor dst_;
    const void* addend_;
    std::string what_;
    ConvCall call_;
    std::size_t dst_at_, scratch_at_;  // in the scratch area: a dense dst, and oneDNN's own
};

}  // namespace

std::unique_ptr<Kernel> make_fused_convolution(const ConvTask& task) {
    const Tensor &dst = task.dst, &residual = task.residual;
    const bool in_place = residual.data && residual.data == dst.data;
    dnnl::post_ops ops;
    if (multiplied_as(dst.type) != dst.type) return nullptr;  // oneDNN has no such output here
    if (!append_activation(ops, task.finish.activation)) return nullptr;
    const int addend_at = ops.len();
    if (residual.data) {
        if (!residual.dense() || residual.type != dst.type || (in_place && !dst.dense())) return nullptr;
        if (in_place)
            ops.append_sum(1.0f);
        else
            ops.append_binary(dnnl::algorithm::binary_add, describe(dst.n, dst.shape, dst.type));
        if (!append_activation(ops, task.finish.after)) return nullptr;
    }
    std::optional<ConvPrimitive> primitive;
    try {
        primitive.emplace(task.runtime, task.geometry, describe(task.src.n, task.src.shape, task.operand_type()),
                          describe(dst.n, dst.shape, dst.type), ops);
    } catch (const dnnl::error&) {
        return nullptr;  // no implementation has these post-operations
    }
    if (primitive->is_reference()) return nullptr;
    return std::make_unique<FusedConvolution>(task, *primitive, addend_at);
}

}  // namespace dn::cpu
