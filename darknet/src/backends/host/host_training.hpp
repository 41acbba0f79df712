// SPDX-License-Identifier: Apache-2.0
// Additional context of kernels that compute on host memory (ref, cpu).
#pragma once

#include "../kernel.hpp"

namespace dn {

// Null in inference and for frozen nodes. Arrays are those of the node that owns the weights.
struct HostTraining {
    NodeParameters* statistics = nullptr;  // means and variances alone: batch norm moves them
    NodeParameters* gradients = nullptr;   // backward adds to them (negative gradients, Darknet's sign)
    const std::uint64_t* seen = nullptr;   // images trained on, by which random numbers are drawn

    bool training() const { return gradients != nullptr; }
};

struct HostContext : KernelContext, HostTraining {};

using MakeKernel = std::unique_ptr<Kernel> (*)(const HostContext&);

}  // namespace dn
