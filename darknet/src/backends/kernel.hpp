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

class Kernel {
public:
    virtual ~Kernel() = default;
    virtual void forward() = 0;
    // From dst.delta to the deltas of its sources and to the gradients, adding to both. May overwrite dst.delta.
    virtual void backward();
    virtual std::string what() const = 0;  // the implementation, for profiles
};

}  // namespace dn
