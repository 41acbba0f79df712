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
    std::vector<Tensor> src;       // one per node.inputs
    Tensor dst;
    int batch;
    int threads;
    bool training;
};

class Kernel {
public:
    virtual ~Kernel() = default;
    virtual void forward() = 0;
    virtual std::string what() const = 0;  // the implementation, for profiles
};

using MakeKernel = std::unique_ptr<Kernel> (*)(const KernelContext&);

}  // namespace dn
