// SPDX-License-Identifier: Apache-2.0
// The reference backend: plain float32 loops over planes (n, c, h, w). It is the definition of every layer and the
// portable fallback: no threads, no tricks.
#pragma once

#include "../../error.hpp"
#include "../backend.hpp"
#include "../host/host_training.hpp"

namespace dn::ref {

#define DN_LAYER(name) std::unique_ptr<Kernel> make_##name(const HostContext& context);
#include "../../layers/layers.def"
#undef DN_LAYER

// Of the layer that the context names.
std::unique_ptr<Kernel> make_kernel(const HostContext& context);

std::unique_ptr<Backend> make_backend();

// Members of every kernel of this backend: its context, under short names.
class RefKernel : public Kernel {
public:
    explicit RefKernel(const HostContext& context) : context_(context) {}
    std::string what() const override { return "ref"; }

protected:
    const Node& node() const { return context_.node; }
    int batch() const { return context_.batch; }
    // Image i of the output, and of the given input: planes (c, h, w).
    float* dst(int i) const { return context_.dst.f32() + i * node().out.size(); }
    const float* src(int i, int input = 0) const {
        return context_.src[input].f32() + i * context_.src[input].shape.size();
    }
    // The same of their deltas. That of an input is null if it is not needed.
    float* ddst(int i) const { return context_.dst.delta_f32() + i * node().out.size(); }
    float* dsrc(int i, int input = 0) const {
        float* first = context_.src[input].delta_f32();
        return first ? first + i * context_.src[input].shape.size() : nullptr;
    }
    // The delta of the input += scale * that of the output, value by value.
    void pass_delta(float scale = 1) const {
        if (!dsrc(0)) return;
        for (std::size_t k = 0; k < context_.dst.size(); ++k) dsrc(0)[k] += scale * ddst(0)[k];
    }
    NodeParameters& gradients() const { return *context_.gradients; }
    Shape src_shape(int input = 0) const { return context_.src[input].shape; }
    const NodeParameters& weights() const { return *context_.params; }

    HostContext context_;
};

}  // namespace dn::ref
