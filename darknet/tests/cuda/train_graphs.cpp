// SPDX-License-Identifier: Apache-2.0
// CUDA graphs in training: the bits of single launches, and what a graph must not hold.
#include "train_nets.hpp"

#include "backends/cuda/kernels/move.cuh"
#include "backends/cuda/launch.hpp"
#include "backends/cuda/launch_graph.hpp"

using namespace dn;
using namespace dn::test;

namespace {

// With PYDARKNET_CUDA_GRAPHS while it lives, which plans read when they are made.
struct Graphs {
    explicit Graphs(const char* value) { setenv("PYDARKNET_CUDA_GRAPHS", value, 1); }
    ~Graphs() { unsetenv("PYDARKNET_CUDA_GRAPHS"); }
    Graphs(const Graphs&) = delete;
    Graphs& operator=(const Graphs&) = delete;
};

// A layer that the host computes between two that it does not.
const std::string kSplit =
    "[net]\nbatch=2\nwidth=8\nheight=8\nchannels=3\n"
    "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"
    "[local]\nfilters=3\nsize=3\npad=1\nactivation=leaky\n"
    "[convolutional]\nfilters=4\nsize=8\nstride=8\nactivation=linear\n[softmax]\n";

struct Counts {
    Floats values;
    long long graphs, graph_launches;
};

Counts counted(const FakeGpu& gpu, const std::string& cfg, const char* graphs) {
    const Graphs environment(graphs);
    const long long made = gpu.count("graphs"), launched = gpu.count("graph_launches");
    const auto halve = [](Trainer& trainer) { trainer.set_loss_scale(trainer.loss_scale()->factor() / 2, 0); };
    Counts found{train(cfg, FakeGpu::backend(), Precision::f16, halve), 0, 0};
    found.graphs = gpu.count("graphs") - made;
    found.graph_launches = gpu.count("graph_launches") - launched;
    return found;
}

}  // namespace

TEST_CASE("cuda graphs: a training has the bits of single launches, while images seen and loss scale change") {
    const FakeGpu gpu;
    for (const std::string& cfg : {kTiny, kClassifier, kSplit}) {
        CAPTURE(cfg);
        const Counts single = counted(gpu, cfg, "0"), graph = counted(gpu, cfg, "1");
        CHECK(single.graphs == 0);
        CHECK(same_bits(graph.values, single.values));
        // Of four mini-batches the first is launched one by one. Forward and backward are a graph each, and layers on
        // the host stand between two.
        const long long parts = cfg == kSplit ? 4 : 2;
        CHECK(graph.graphs == parts);
        CHECK(graph.graph_launches == 3 * parts);
    }
}

TEST_CASE("cuda graphs: a training whose graphs cannot be captured continues by single launches") {
    const FakeGpu gpu;
    const Counts single = counted(gpu, kClassifier, "0");
    gpu.set("refuse_capture", 1);
    const Counts refused = counted(gpu, kClassifier, "");
    CHECK(refused.graph_launches == 0);
    CHECK(same_bits(refused.values, single.values));
    CHECK_CONTAINS(error_of(Status::backend, [&] { counted(gpu, kClassifier, "1"); }), "cuStreamEndCapture failed");
}

// What the test of the bits rests on: the fakes freeze arguments as a driver does.
TEST_CASE("cuda graphs: an argument that changes is stale in a graph, and right in a step that is alone") {
    const FakeGpu gpu;
    cuda::Runtime runtime(std::make_shared<cuda::Engine>(FakeGpu::libraries(), 0));
    const cuda::Entered here(*runtime.device());
    const cuda::DeviceBuffer memory(runtime.device(), 2 * sizeof(float));
    const cuda::Launch<cuda::CopyArgs> copy(runtime, cuda::kernel::copy, DType::f32);
    const float one = 1;
    runtime.stream.upload(&one, memory.get(), sizeof one);
    for (const bool alone : {false, true}) {
        float scale = 0, found = 0;
        cuda::LaunchSequence sequence(runtime.stream);
        sequence.add([&] { runtime.stream.clear(memory.get<float>() + 1, sizeof(float)); }, false);
        sequence.add(
            [&] {
                copy(1, {{memory.get(), 1}, {memory.get<float>() + 1, 1}, nullptr, 1, 1, scale, true});
            },
            alone);
        for (const float expected : {1.0f, 2.0f, 3.0f}) {
            scale = expected;
            sequence.run();
            runtime.stream.download(memory.get<float>() + 1, &found, sizeof found);
            runtime.stream.synchronize();
            CHECK(found == (alone ? expected : std::min(expected, 2.0f)));  // the second run captures
        }
    }
}
