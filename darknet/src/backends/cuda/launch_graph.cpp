// SPDX-License-Identifier: Apache-2.0
#include "launch_graph.hpp"

#include <cstdlib>
#include <string>
#include <utility>

#include "../../error.hpp"

namespace dn::cuda {
namespace {

// Ends the capture whatever happens in it; the stream cannot be used before.
abi::GraphHandle* captured(const Stream& stream, const std::function<void()>& work) {
    const Device& device = stream.device();
    device.check(device.driver().cuStreamBeginCapture_v2(stream.handle(), abi::kCaptureThreadLocal),
                 "cuStreamBeginCapture");
    abi::GraphHandle* graph = nullptr;
    try {
        work();
    } catch (...) {
        device.driver().cuStreamEndCapture(stream.handle(), &graph);
        if (graph) device.driver().cuGraphDestroy(graph);
        throw;
    }
    device.check(device.driver().cuStreamEndCapture(stream.handle(), &graph), "cuStreamEndCapture");
    return graph;
}

}  // namespace

LaunchMethod launch_method() {
    const char* value = std::getenv("PYDARKNET_CUDA_GRAPHS");
    const std::string word = value ? value : "";
    if (word.empty()) return LaunchMethod::automatic;
    if (word == "0") return LaunchMethod::single;
    if (word == "1") return LaunchMethod::graph;
    throw Error(Status::invalid_argument, "PYDARKNET_CUDA_GRAPHS", text("found '", word, "', expected 0 or 1"));
}

LaunchGraph::LaunchGraph(const Stream& stream, const std::function<void()>& work) : stream_(stream) {
    const Device& device = stream.device();
    abi::GraphHandle* graph = captured(stream, work);
    const int result = device.driver().cuGraphInstantiateWithFlags(&graph_, graph, 0);
    device.driver().cuGraphDestroy(graph);
    device.check(result, "cuGraphInstantiate");
}

LaunchGraph::~LaunchGraph() {
    quietly(stream_.device(), [this](const abi::Driver& driver) { driver.cuGraphExecDestroy(graph_); });
}

void LaunchGraph::launch() const {
    stream_.device().check(stream_.device().driver().cuGraphLaunch(graph_, stream_.handle()), "cuGraphLaunch");
}

void LaunchSequence::add(std::function<void()> work, bool alone) { steps_.push_back({std::move(work), alone}); }

void LaunchSequence::run(std::size_t first, std::size_t last) const {
    for (std::size_t step = first; step < last; ++step) steps_[step].work();
}

void LaunchSequence::capture() {
    std::vector<Part> parts;
    for (std::size_t first = 0, last = 0; first < steps_.size(); first = last) {
        for (last = first + 1; last < steps_.size() && steps_[last].alone == steps_[first].alone;) ++last;
        parts.push_back({first, last, nullptr});
        if (!steps_[first].alone)
            parts.back().graph = std::make_unique<LaunchGraph>(stream_, [=] { run(first, last); });
    }
    parts_ = std::move(parts);
}

// A driver or an engine of cuDNN may refuse.
bool LaunchSequence::try_capture() {
    try {
        capture();
        return true;
    } catch (const Error&) {
        if (method_ == LaunchMethod::graph) throw;
        method_ = LaunchMethod::single;
        return false;
    }
}

void LaunchSequence::run() {
    const bool graphs = warm_ && method_ != LaunchMethod::single;
    if (!graphs || (parts_.empty() && !try_capture())) {
        run(0, steps_.size());
        warm_ = true;
        return;
    }
    for (const Part& part : parts_) part.graph ? part.graph->launch() : run(part.first, part.last);
}

}  // namespace dn::cuda
