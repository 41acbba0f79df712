// SPDX-License-Identifier: Apache-2.0
// One oneDNN convolution on dense channels-last tensors with everything that it can do in the same pass.
#pragma once

#include <string>

#include <dnnl.hpp>

#include "../../parameters.hpp"
#include "../kernel.hpp"
#include "finish.hpp"
#include "runtime.hpp"

namespace dn::cpu {

struct ConvGeometry {
    int groups, size, stride_x, stride_y, pad_x, pad_y, dilation;  // pads: left and above, in pixels
};

// The tensors and numbers of one convolution, whatever way it is computed.
struct ConvTask {
    Runtime& runtime;
    WeightStore& weights;
    const NodeParameters& params;
    int owner;  // node that has the parameters
    ConvGeometry geometry;
    Tensor src, dst, residual;  // residual.data null: none
    Finish finish;
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

    // The task's weights in the format of this primitive, batch-norm folded in; its biases.
    dnnl::memory pack_weights(const ConvTask& task) const;
    static const float* pack_biases(const ConvTask& task);

private:
    Runtime& runtime_;
    dnnl::convolution_forward::primitive_desc description_;
    dnnl::convolution_forward primitive_;
};

// The ways to compute a convolution, in files of their own.

// In one pass of oneDNN over dense tensors; null when it has no such post-operations or only a slow implementation.
std::unique_ptr<Kernel> make_fused_convolution(const ConvTask& task);
// In strips of rows that stay in cache between oneDNN's sums and what follows them; null when the weights are too large
// to be read anew for every strip. Tensors of any pitch.
std::unique_ptr<Kernel> make_tiled_convolution(const ConvTask& task);
// Sums by oneDNN over the whole batch, then what follows them: any activation, any pitch.
std::unique_ptr<Kernel> make_whole_convolution(const ConvTask& task);

}  // namespace dn::cpu
