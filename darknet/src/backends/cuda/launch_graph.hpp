// SPDX-License-Identifier: Apache-2.0
// Kernels captured once and launched as one: a GPU computes small layers faster than a host launches them one by one.
#pragma once

#include <functional>
#include <memory>
#include <vector>

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

// Work that a plan repeats: one by one the first time, which loads everything, and from then on as graphs. Where these
// cannot be captured it continues one by one.
class LaunchSequence {
public:
    explicit LaunchSequence(const Stream& stream) : stream_(stream) {}

    // The work that comes next. A graph repeats the arguments of its capture: what has others each time, or waits for
    // the stream, is `alone` between two graphs.
    void add(std::function<void()> work, bool alone);
    // Captures again before the next graphs run: arguments have changed.
    void forget() { parts_.clear(); }
    // Throws Error(backend), too, if graphs were asked for and cannot be captured.
    void run();

private:
    struct Step {
        std::function<void()> work;
        bool alone;
    };
    // Steps that follow each other.
    struct Part {
        std::size_t first, last;
        std::unique_ptr<LaunchGraph> graph;  // null: one by one
    };

    void run(std::size_t first, std::size_t last) const;
    void capture();
    bool try_capture();

    const Stream& stream_;
    LaunchMethod method_ = launch_method();
    bool warm_ = false;  // every step has run
    std::vector<Step> steps_;
    std::vector<Part> parts_;  // of all steps, once they are captured
};

}  // namespace dn::cuda
