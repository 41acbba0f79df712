// SPDX-License-Identifier: Apache-2.0
// The reference kernel between two changes of layout, for the layers of a backend that are too rare or too small for a
// kernel of its own.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "../../losses/loss.hpp"
#include "../ref/ref.hpp"

namespace dn {

// layout.to_planes(tensor, dst) and layout.from_planes(src, tensor) change between the backend's tensors and float32
// planes (n, c, h, w); Base is Kernel or a class derived from it.
template <class Layout, class Base = Kernel>
class ByReference : public Base {
public:
    ByReference(const HostContext& context, MakeKernel make, Layout layout = {})
        : layout_(layout), node_(context.node), dst_tensor_(context.dst) {
        HostContext planes = context;
        for (Tensor& tensor : planes.src) {
            src_tensors_.push_back(tensor);
            src_.emplace_back(tensor.size());
            dsrc_.emplace_back(tensor.delta ? tensor.size() : 0);
            tensor = as_planes(tensor, src_.back(), dsrc_.back());
        }
        dst_.resize(dst_tensor_.size());
        if (context.training()) ddst_.resize(dst_tensor_.size());
        planes.dst = as_planes(dst_tensor_, dst_, ddst_);
        kernel_ = make(planes);
    }

    std::string what() const override { return kernel_->what(); }

    void forward() override {
        for (std::size_t s = 0; s < src_.size(); ++s) layout_.to_planes(src_tensors_[s], src_[s].data());
        kernel_->forward();
        layout_.from_planes(dst_.data(), dst_tensor_);
    }

protected:
    // received: other layers wrote the delta of the output. overwrite: per source, that no other layer has written its
    // delta yet, so that nothing is to be added to. scale: of the loss, a factor of all deltas but the kernel's own.
    void backward_by_planes(bool received, const std::vector<bool>& overwrite, float scale = 1) {
        if (received) receive();
        if (scale != 1) multiply(ddst_, 1 / scale);
        for (Floats& delta : dsrc_) std::fill(delta.begin(), delta.end(), 0.0f);
        kernel_->backward();
        for (std::size_t s = 0; s < dsrc_.size(); ++s) {
            if (dsrc_[s].empty()) continue;
            if (scale != 1) multiply(dsrc_[s], scale);
            pass_back(s, overwrite[s]);
        }
    }

    float* output() { return dst_.data(); }
    float* output_delta() { return ddst_.data(); }

private:
    static Tensor as_planes(Tensor tensor, Floats& values, Floats& deltas) {
        tensor.data = values.data();
        tensor.delta = deltas.empty() ? nullptr : deltas.data();
        tensor.type = DType::f32;
        return tensor;
    }

    static void multiply(Floats& values, float factor) {
        for (float& value : values) value *= factor;
    }

    // Owners of a loss find its delta in output_delta() already; as in Darknet, that of layers behind them joins it.
    void receive() {
        if (owns_cost(node_))
            add(delta_of(dst_tensor_), ddst_);
        else
            layout_.to_planes(delta_of(dst_tensor_), ddst_.data());
    }

    void pass_back(std::size_t s, bool overwrite) {
        const Tensor target = delta_of(src_tensors_[s]);
        if (!overwrite) add(target, dsrc_[s]);
        layout_.from_planes(dsrc_[s].data(), target);
    }

    void add(const Tensor& tensor, Floats& sum) {
        earlier_.resize(sum.size());
        layout_.to_planes(tensor, earlier_.data());
        std::transform(sum.begin(), sum.end(), earlier_.begin(), sum.begin(), std::plus<>());
    }

    const Layout layout_;
    const Node& node_;
    std::vector<Tensor> src_tensors_;
    Tensor dst_tensor_;
    std::vector<Floats> src_, dsrc_;  // planes; dsrc_ is empty for a source that wants no gradient
    Floats dst_, ddst_, earlier_;
    std::unique_ptr<Kernel> kernel_;
};

}  // namespace dn
