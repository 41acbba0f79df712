// SPDX-License-Identifier: Apache-2.0
// The reference kernel between two changes of layout, forward and backward: heads, and rarely used or small layers
// without a training kernel here.
#include "../../ref/ref.hpp"
#include "../layout.hpp"
#include "../rows.hpp"
#include "train.hpp"

namespace dn::cpu {
namespace {

constexpr MakeKernel kReference[] = {
#define DN_LAYER(name) ref::make_##name,
#include "../../../layers/layers.def"
#undef DN_LAYER
};

class ByReference : public TrainKernel {
public:
    explicit ByReference(const TrainContext& context) : context_(context) {
        HostContext planes = context;
        for (Tensor& tensor : planes.src) {
            const bool wanted = tensor.delta != nullptr;
            src_.emplace_back(tensor.size());
            dsrc_.emplace_back(wanted ? tensor.size() : 0);
            tensor = as_planes(tensor, src_.back(), dsrc_.back());
        }
        dst_.resize(context.dst.size());
        if (context.training()) ddst_.resize(context.dst.size());
        planes.dst = as_planes(context.dst, dst_, ddst_);
        kernel_ = kReference[static_cast<std::size_t>(context.node.kind)](planes);
    }

    std::string what() const override { return "ref"; }
    float* output_planes() override { return dst_.data(); }
    float* delta_planes() override { return ddst_.data(); }

    void forward() override {
        for (std::size_t s = 0; s < src_.size(); ++s) to_planes(context_.src[s], src_[s].data());
        kernel_->forward();
        from_planes(dst_.data(), context_.dst);
    }

    void backward() override {
        if (context_.receives) receive();
        for (Floats& delta : dsrc_) std::fill(delta.begin(), delta.end(), 0.0f);
        kernel_->backward();
        for (std::size_t s = 0; s < dsrc_.size(); ++s)
            if (!dsrc_[s].empty()) pass_back(s);
    }

private:
    static Tensor as_planes(Tensor tensor, Floats& values, Floats& deltas) {
        tensor.data = values.data();
        tensor.delta = deltas.empty() ? nullptr : deltas.data();
        tensor.type = DType::f32;
        return tensor;
    }

    // Owners of a loss find its delta in delta_planes() already; as in Darknet, that of layers behind them joins it.
    void receive() {
        if (!owns_cost(context_.node)) return to_planes(delta_of(context_.dst), ddst_.data());
        earlier_.resize(ddst_.size());
        to_planes(delta_of(context_.dst), earlier_.data());
        add(ddst_.data(), earlier_.data(), earlier_.size());
    }

    void pass_back(std::size_t s) {
        const Tensor target = delta_of(context_.src[s]);
        if (!context_.overwrite[s]) {
            earlier_.resize(target.size());
            to_planes(target, earlier_.data());
            add(dsrc_[s].data(), earlier_.data(), earlier_.size());
        }
        from_planes(dsrc_[s].data(), target);
    }

    const TrainContext context_;
    std::vector<Floats> src_, dsrc_;  // planes (n, c, h, w)
    Floats dst_, ddst_, earlier_;
    std::unique_ptr<Kernel> kernel_;
};

}  // namespace

std::unique_ptr<TrainKernel> make_train_by_reference(const TrainContext& context) {
    return std::make_unique<ByReference>(context);
}

}  // namespace dn::cpu
