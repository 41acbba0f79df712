// SPDX-License-Identifier: Apache-2.0
// [maxpool] in training: oneDNN's, which remembers where each maximum was.
#include "train.hpp"

namespace dn::cpu {
namespace {

using dnnl::memory;

class TrainMaxpool : public TrainKernel {
public:
    explicit TrainMaxpool(const TrainContext& context) : context_(context) {
        const auto& params = context.node.as<PoolParams>();
        const Shape in = context.src[0].shape, out = context.dst.shape;
        const memory::dims strides{params.stride_y, params.stride_x}, size{params.size, params.size}, none{0, 0};
        const int near = params.padding / 2;
        const memory::dims before{near, near};
        const memory::dims behind{(out.h - 1) * params.stride_y + params.size - in.h - near,
                                  (out.w - 1) * params.stride_x + params.size - in.w - near};
        const dnnl::pooling_forward::primitive_desc forward(context.runtime.engine(), dnnl::prop_kind::forward_training,
                                                            dnnl::algorithm::pooling_max, describe(context.src[0]),
                                                            describe(context.dst), strides, size, none, before, behind);
        forward_ = dnnl::pooling_forward(forward);
        name_ = forward.impl_info_str();
        workspace_ = memory(forward.workspace_desc(), context.runtime.engine());
        if (!context.src[0].delta) return;
        backward_ = dnnl::pooling_backward(dnnl::pooling_backward::primitive_desc(
            context.runtime.engine(), dnnl::algorithm::pooling_max, describe(context.src[0]), describe(context.dst),
            strides, size, none, before, behind, forward));
        context.runtime.reserve(dense_bytes(context.src[0]));
    }

    std::string what() const override { return name_; }

    void forward() override {
        forward_.execute(context_.runtime.stream(), {{DNNL_ARG_SRC, view(context_.src[0], context_.src[0].data)},
                                                     {DNNL_ARG_DST, view(context_.dst, context_.dst.data)},
                                                     {DNNL_ARG_WORKSPACE, workspace_}});
    }

    void backward() override {
        if (!context_.src[0].delta) return;
        const Tensor target = delta_of(context_.src[0]);
        Tensor result = target;
        if (!context_.overwrite[0]) result.data = context_.runtime.scratch();
        backward_.execute(context_.runtime.stream(), {{DNNL_ARG_DIFF_DST, view(context_.dst, context_.dst.delta)},
                                                      {DNNL_ARG_WORKSPACE, workspace_},
                                                      {DNNL_ARG_DIFF_SRC, view(target, result.data)}});
        if (result.data != target.data) move_channels(result, 0, target, 0, target.shape.c, false);
    }

private:
    memory view(const Tensor& tensor, void* data) const { return {describe(tensor), context_.runtime.engine(), data}; }

    const TrainContext context_;
    std::string name_;
    dnnl::pooling_forward forward_;
    dnnl::pooling_backward backward_;
    memory workspace_;
};

}  // namespace

std::unique_ptr<TrainKernel> make_train_maxpool(const TrainContext& context) {
    return std::make_unique<TrainMaxpool>(context);
}

}  // namespace dn::cpu
