// SPDX-License-Identifier: Apache-2.0
// The reference kernels, between two changes of layout, for layers that are rare or small.
#include "../ref/ref.hpp"

#include "cpu.hpp"
#include "layout.hpp"

namespace dn::cpu {
namespace {

class ByReference : public Kernel {
public:
    ByReference(const Context& context, MakeKernel make) : src_(context.src), dst_(context.dst) {
        HostContext planes{{context.graph, context.node, context.params, {}, {}, context.batch, context.threads}, {}};
        std::size_t total = dst_.size();
        for (const Tensor& src : src_) total += src.size();
        planes_.resize(total);
        float* next = planes_.data();
        const auto as_planes = [&next](Tensor tensor) {
            tensor.data = next;
            tensor.type = DType::f32;
            next += tensor.size();
            return tensor;
        };
        for (const Tensor& src : src_) planes.src.push_back(as_planes(src));
        dst_planes_ = next;
        planes.dst = as_planes(dst_);
        for (const Tensor& src : planes.src) src_planes_.push_back(src.f32());
        kernel_ = make(planes);
    }

    void forward() override {
        for (std::size_t i = 0; i < src_.size(); ++i) to_planes(src_[i], src_planes_[i]);
        kernel_->forward();
        from_planes(dst_planes_, dst_);
    }

    std::string what() const override { return "ref:" + kernel_->what(); }

private:
    std::vector<Tensor> src_;
    Tensor dst_;
    Floats planes_;
    std::vector<float*> src_planes_;
    float* dst_planes_;
    std::unique_ptr<Kernel> kernel_;
};

}  // namespace

std::unique_ptr<Kernel> make_by_reference(const Context& context, MakeKernel make) {
    return std::make_unique<ByReference>(context, make);
}

#define DN_BY_REFERENCE(name) \
    std::unique_ptr<Kernel> make_##name(const Context& context) { return make_by_reference(context, ref::make_##name); }
DN_BY_REFERENCE(contrastive)
DN_BY_REFERENCE(cost)
DN_BY_REFERENCE(crop)
DN_BY_REFERENCE(detection)
DN_BY_REFERENCE(dropout)
DN_BY_REFERENCE(empty)
DN_BY_REFERENCE(implicit)
DN_BY_REFERENCE(local)
DN_BY_REFERENCE(local_avgpool)
DN_BY_REFERENCE(normalization)
DN_BY_REFERENCE(region)
DN_BY_REFERENCE(reorg)
DN_BY_REFERENCE(reorg3d)
DN_BY_REFERENCE(softmax)
#undef DN_BY_REFERENCE

}  // namespace dn::cpu
