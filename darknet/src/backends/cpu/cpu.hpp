// SPDX-License-Identifier: Apache-2.0
// The cpu backend: oneDNN for convolutions and matrix products, OpenMP and vector loops for the rest.
// Activations are channels-last (see Tensor), float32 or bfloat16; weights are packed once and shared between plans.
#pragma once

#include <memory>

#include "../../passes/passes.hpp"
#include "../backend.hpp"
#include "../host/host_training.hpp"
#include "runtime.hpp"

namespace dn {

std::unique_ptr<Backend> make_cpu_backend();

namespace cpu {

// Input of this backend's kernels in addition to that of every backend's kernels.
struct Context : KernelContext {
    Runtime& runtime;
    WeightStore& weights;
    ConvMethod convolutions = ConvMethod::automatic;  // as the plan's options have it
    DType compute = DType::f32;                       // type of weights and of activations between layers
    Fusion fusion;                                    // what the kernel computes besides its node
    Tensor residual;                                  // of a fused shortcut; data null: none
    const Parameters* parameters = nullptr;           // of all nodes, for kernels that compute several
};

// Null when nothing is left to do, as in a route whose sources already lie in place.
#define DN_LAYER(name) std::unique_ptr<Kernel> make_##name(const Context& context);
#include "../../layers/layers.def"
#undef DN_LAYER

using MakeCpuKernel = std::unique_ptr<Kernel> (*)(const Context&);

// Runs the reference kernel between two changes of layout; for rarely used layers without a kernel of their own here.
std::unique_ptr<Kernel> make_by_reference(const Context& context, MakeKernel make);

// Whether the convolution is computed in strips, with tensors of any pitch, and not by oneDNN alone.
bool convolves_in_tiles(const Node& node, DType type);

// Outputs of a tile in each direction if the convolution, with what is fused into it, is computed in Winograd's form;
// else 0. Any pitch.
int winograd_tile(const Node& node, const Fusion& fusion, DType type, ConvMethod method);
// The same for all passes of training, where a convolution ends with its sums. A function of shapes and instruction set
// alone, so that a resumed training has the same bits.
int winograd_training_tile(const Node& node, DType type, ConvMethod method);

// Whether the convolution, with what is fused into it, is computed as products by loops of our own. Any pitch.
bool is_product(const Node& node, const Fusion& fusion, DType type, ConvMethod method);

// A fused bottleneck, and whether a plan should fuse it.
std::unique_ptr<Kernel> make_bottleneck(const Context& context);
bool computes_bottleneck(const Bottleneck& bottleneck, const PlanOptions& options);

// Whether a plan should compute both convolutions in one step, with rows of the first in the cache alone.
bool computes_pair(const ConvPair& pair, const Fusion& fusion, DType type, ConvMethod method);

}  // namespace cpu
}  // namespace dn
