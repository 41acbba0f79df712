// SPDX-License-Identifier: Apache-2.0
// One oneDNN convolution on dense channels-last tensors with everything that it can do in the same pass.
#pragma once

#include <string>

#include <dnnl.hpp>

#include "../../layers/params.hpp"
#include "runtime.hpp"

namespace dn::cpu {

struct ConvGeometry {
    int groups, size, stride_x, stride_y, pad, dilation;  // pad: left and above, in pixels
};

// Appends the activation where oneDNN's function is Darknet's; false where it has none.
bool append_activation(dnnl::post_ops& ops, Activation activation);

class ConvPrimitive {
public:
    ConvPrimitive(Runtime& runtime, const ConvGeometry& geometry, const dnnl::memory::desc& src,
                  const dnnl::memory::desc& dst, const dnnl::post_ops& ops);

    dnnl::memory::desc weights_desc() const { return description_.weights_desc(); }
    std::size_t scratch_size() const { return description_.scratchpad_desc().get_size(); }
    std::string what() const { return description_.impl_info_str(); }
    bool is_reference() const { return what().rfind("ref", 0) == 0; }

    // Plain (filters, channels / groups, rows, columns), as Darknet stores them.
    static dnnl::memory::desc plain_weights(const ConvGeometry& geometry, int channels, int filters);

    // addend: what a binary post-op at position `addend_at` adds; null: none.
    void execute(const void* src, const dnnl::memory& weights, const float* biases, void* dst, void* scratch,
                 const void* addend = nullptr, int addend_at = 0) const;

private:
    Runtime& runtime_;
    dnnl::convolution_forward::primitive_desc description_;
    dnnl::convolution_forward primitive_;
};

}  // namespace dn::cpu
