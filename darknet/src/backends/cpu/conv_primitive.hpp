// SPDX-License-Identifier: Apache-2.0
// One oneDNN convolution on dense channels-last tensors with everything that it can do in the same pass.
#pragma once

#include <string>

#include <dnnl.hpp>

#include "../../parameters.hpp"
#include "../kernel.hpp"
#include "finish.hpp"
#include "isa.hpp"
#include "runtime.hpp"

namespace dn::cpu {

struct ConvGeometry {
    int groups = 1, size = 1, stride_x = 1, stride_y = 1;
    int pad_x = 0, pad_y = 0;  // left and above, in pixels
    int dilation = 1;
};

// The tensors and numbers of one convolution, whatever way it is computed.
struct ConvTask {
    Runtime& runtime;
    WeightStore& weights;
    const NodeParameters& params;
    int owner = 0;  // node that has the parameters
    ConvGeometry geometry;
    Tensor src, dst, residual;  // residual.data null: none
    Finish finish;

    // Type of the factors. oneDNN has no convolution from float32 to bfloat16: there the source is rounded first.
    DType value_type() const { return src.type == DType::f32 ? dst.type : src.type; }
    DType operand_type() const { return multiplied_as(value_type()); }
    bool rounds_weights() const { return operand_type() != value_type(); }
    Tensor operand() const;  // src as the primitive reads it, without its address
    bool reads_source() const { return src.dense() && src.type == operand_type(); }
};

// Appends the activation where oneDNN's function is Darknet's; false where it has none.
bool append_activation(dnnl::post_ops& ops, Activation activation);

// A convolution's biases, batch-norm folded in, kept by the store.
const float* pack_biases(WeightStore& weights, int owner, const NodeParameters& params);

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

    // The task's weights in the format of this primitive, batch-norm folded in; its biases.
    dnnl::memory pack_weights(const ConvTask& task) const;
    static const float* pack_biases(const ConvTask& task) {
        return cpu::pack_biases(task.weights, task.owner, task.params);
    }

private:
    friend class ConvCall;
    Runtime& runtime_;
    dnnl::convolution_forward::primitive_desc description_;
    dnnl::convolution_forward primitive_;
};

// A primitive with its arguments at hand, for one thread at a time: making them each time costs as much as a small
// strip.
class ConvCall {
public:
    // addend_at: position of a binary post-op whose operand run() gets; negative: none.
    ConvCall(const ConvPrimitive& primitive, const dnnl::memory& weights, const float* biases, int addend_at = -1);
    void run(const void* src, void* dst, void* scratch, const void* addend = nullptr);

private:
    dnnl::convolution_forward primitive_;
    dnnl::stream stream_;
    dnnl::memory src_, weights_, biases_, dst_, scratch_, addend_;
    std::vector<dnnl_exec_arg_t> arguments_;
};

// The ways to compute a convolution, in files of their own.

// In one pass of oneDNN over dense tensors; null when it has no such post-operations or only a slow implementation.
std::unique_ptr<Kernel> make_fused_convolution(const ConvTask& task);
// In strips of rows that stay in cache between oneDNN's sums and what follows them. Any activation, any pitch.
std::unique_ptr<Kernel> make_tiled_convolution(const ConvTask& task);
// Whether the weights are small enough to be read again for every strip.
bool weights_fit_tiles(const Node& node, DType type);
// Sums by oneDNN over the whole batch, then what follows them: any activation, any pitch.
std::unique_ptr<Kernel> make_whole_convolution(const ConvTask& task);

// In Winograd's form, with tiles as winograd_tile() says.
std::unique_ptr<Kernel> make_winograd_convolution(const ConvTask& task, int tile);

// As products of pixels with a matrix, where is_product() says so. Any pitch.
std::unique_ptr<Kernel> make_product_convolution(const ConvTask& task);
// The same, after one whose output is the source and has no memory of its own.
std::unique_ptr<Kernel> make_product_pair(const ConvTask& first, const ConvTask& second);

}  // namespace dn::cpu
