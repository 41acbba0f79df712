// SPDX-License-Identifier: Apache-2.0
#include "launch_graph.hpp"

#include <cstdlib>
#include <string>

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
    try {
        const Entered here(stream_.device());
        stream_.device().driver().cuGraphExecDestroy(graph_);
    } catch (...) {
        // A broken device, or one of the parent process, has nothing left to free.
    }
}

void LaunchGraph::launch() const {
    stream_.device().check(stream_.device().driver().cuGraphLaunch(graph_, stream_.handle()), "cuGraphLaunch");
}

}  // namespace dn::cuda
