// SPDX-License-Identifier: Apache-2.0
// One layer, computed by one backend: bound to its tensors when the plan is made, then run many times.
// A kernel file holds forward and backward of its layer and ends with make_<layer>.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "../parameters.hpp"

namespace dn {

// All that a kernel may use. Tensors keep their addresses for the life of the plan.
struct KernelContext {
    const Graph& graph;
    const Node& node;
    const NodeParameters* params;  // of the node that owns the weights
    std::vector<Tensor> src;       // one per node.inputs; in training, one whose `delta` is null wants no gradient
    Tensor dst;
    int batch;
    int threads;
};

// tensor_of(node) is the tensor of a node's output; -1: of the network's input. inputs: the producers that the kernel
// reads.
template <class TensorOf>
KernelContext make_context(const Graph& graph, const Node& node, const std::vector<int>& inputs,
                           const Parameters& parameters, int batch, int threads, const TensorOf& tensor_of) {
    KernelContext context{graph, node, &parameters.of(graph, node.index), {}, tensor_of(node.index), batch, threads};
    for (const int input : inputs) context.src.push_back(tensor_of(input));
    return context;
}

class Kernel {
public:
    virtual ~Kernel() = default;
    virtual void forward() = 0;
    // From dst.delta to the deltas of its sources, and adds to the gradients. May overwrite dst.delta.
    virtual void backward();
    virtual std::string what() const = 0;  // the implementation, for profiles
};

struct LayerTime;
// Runs the kernel's forward with a clock around it.
LayerTime timed_forward(int node, Kernel& kernel);

}  // namespace dn
