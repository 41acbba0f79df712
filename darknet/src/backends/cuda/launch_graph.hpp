// SPDX-License-Identifier: Apache-2.0
// Kernels captured once and launched as one: a GPU computes small layers faster than a host launches them one by one.
#pragma once

#include <functional>
#include <memory>

#include "memory.hpp"

namespace dn::cuda {

// How a plan launches its kernels.
enum class LaunchMethod {
    automatic,  // as graphs where that is possible
    single,     // one by one
    graph,      // as graphs, or Error(backend)
};
// PYDARKNET_CUDA_GRAPHS, for comparisons: 0 single, 1 graph, by default automatic. Throws Error(invalid_argument).
LaunchMethod launch_method();

class LaunchGraph {
public:
    // Captures what work() enqueues on the stream; nothing runs. All that it launches has run once before, and what it
    // uses stays where it is. Throws Error(backend) if any of it cannot be captured.
    LaunchGraph(const Stream& stream, const std::function<void()>& work);
    ~LaunchGraph();
    LaunchGraph(const LaunchGraph&) = delete;
    LaunchGraph& operator=(const LaunchGraph&) = delete;

    // On the stream that it was captured from.
    void launch() const;

private:
    const Stream& stream_;
    abi::GraphExecHandle* graph_ = nullptr;
};

}  // namespace dn::cuda
