// SPDX-License-Identifier: Apache-2.0
// Kernels of this backend: what they are made of, and one function a layer that makes them.
#pragma once

#include <memory>

#include "../../passes/passes.hpp"
#include "../backend.hpp"
#include "../host/host_training.hpp"
#include "runtime.hpp"
#include "store.hpp"

namespace dn::cuda {

class CudaTrainState;

// What a layer keeps on the device from its forward to its backward pass. Null: nothing of the kind, as in inference.
struct Kept {
    void* argument = nullptr;         // of batch norm and of the activation, where the output has their result
    unsigned short* index = nullptr;  // of the maximum in its window, by value of the output
    float *mean = nullptr, *inverse = nullptr, *mean_delta = nullptr, *mean_product = nullptr;  // by channel
    float* factors = nullptr;  // of a weighted shortcut
    float* partial = nullptr;  // sums of its products
    float* norms = nullptr;    // of [normalization]
};

// Input of this backend's kernels in addition to that of every backend's kernels. Tensors are on the device.
struct Context : KernelContext {
    Runtime& runtime;
    WeightStore& weights;
    Precision precision = Precision::f32;
    DType compute = DType::f32;       // type of weights and of activations between layers
    Fusion fusion;                    // what the kernel computes besides its node
    Tensor residual;                  // of a fused shortcut; data null: none
    CudaTrainState* state = nullptr;  // of a training, whose parameters are used; null: those of the weights store
    Kept kept = {};
};

// A kernel whose work is done by the host, and so cannot be part of a launch graph.
class HostKernel : public Kernel {};
inline bool is_on_host(const Kernel& kernel) { return dynamic_cast<const HostKernel*>(&kernel) != nullptr; }

// Null when nothing is left to do, as in a route whose sources already lie in place.
using MakeCudaKernel = std::unique_ptr<Kernel> (*)(const Context&);

#define DN_LAYER(name) std::unique_ptr<Kernel> make_##name(const Context& context);
#include "../../layers/layers.def"
#undef DN_LAYER

// Of [convolutional] and [connected]: what cuDNN computes.
ConvolutionShape convolution_shape(const Context& context);
// How the filters lie in a weights file: (filters, channels, height * width).
struct Filters {
    int channels, window;
};
Filters filters_of(const Node& node, Shape src);
Activation activation_of(const Node& node);
bool normalizes(const Node& node);
// Whether cuDNN computes the layer. It reads dense tensors alone and writes any. False for other layers.
bool convolves_on_device(const Node& node);

// Runs the layer's reference kernel on the host.
std::unique_ptr<Kernel> make_by_reference(const Context& context);

}  // namespace dn::cuda
