// SPDX-License-Identifier: Apache-2.0
// Training on the GPU of the fake driver: memory, bits, the layers that need no host, and a comparison with ref layer
// by layer.
#include <cmath>

#include "backends/check.hpp"
#include "backends/registry.hpp"
#include "train_nets.hpp"

using namespace dn;
using namespace dn::test;

namespace {

// A plan in training with its state.
struct Bench {
    Bench(const std::string& cfg, const Backend& backend, Precision precision)
        : graph(graph_of(cfg)),
          state(backend.train_state(graph, parameters = initial_parameters(graph, 1), 1)),
          training{state.get(), 0} {
        options.batch = kImages;
        options.precision = precision;
        options.training = &training;
        plan = backend.compile(graph, parameters, options);
    }

    Graph graph;
    std::shared_ptr<Parameters> parameters;
    std::shared_ptr<TrainState> state;
    Training training;
    PlanOptions options;
    std::unique_ptr<Plan> plan;
};

}  // namespace

TEST_CASE("cuda training: the memory of a plan and its state is as forecast, but for cuDNN's own") {
    const FakeGpu gpu;
    constexpr long long kWorkspace = 256, kCounters = 20;
    const std::string moves =
        "[net]\nbatch=2\nwidth=10\nheight=10\nchannels=3\n[crop]\ncrop_height=8\ncrop_width=8\n"
        "[convolutional]\nfilters=4\n[reorg3d]\nstride=2\n[convolutional]\nfilters=3\n[cost]\n";
    for (const std::string& cfg : {kTiny, kClassifier, moves})
        for (const Precision precision : {Precision::f32, Precision::f16}) {
            CAPTURE(cfg);
            CAPTURE(std::string(precision_name(precision)));
            const auto backend = FakeGpu::backend();
            const long long before = gpu.count("used");
            const Bench bench(cfg, *backend, precision);
            if (precision == Precision::f16) bench.state->begin_update();  // as a trainer does
            const long long used = gpu.count("used") - before;
            Training unmade = bench.training;
            unmade.state = nullptr;
            PlanOptions options = bench.options;
            options.training = &unmade;
            const auto expected = static_cast<long long>(backend->plan_bytes(bench.graph, options));
            CHECK(static_cast<long long>(backend->plan_bytes(bench.graph, bench.options)) < expected);  // has a state
            CHECK(used >= expected);
            CHECK(used <= expected + kWorkspace + kCounters);
            CHECK(static_cast<long long>(bench.plan->activation_bytes()) < used);
        }
}

TEST_CASE("cuda training: the layers of detectors and classifiers do not go to the host") {
    const FakeGpu gpu;
    for (const std::string& cfg : {kTiny, kClassifier}) {
        CAPTURE(cfg);
        const auto backend = FakeGpu::backend();
        const Bench bench(cfg, *backend, Precision::f16);
        for (const LayerTime& time : bench.plan->profile()) {
            CAPTURE(bench.graph.nodes[time.node].where);
            CHECK(time.what != "ref");
        }
    }
}

TEST_CASE("cuda training: the input may be overwritten once a forward pass has returned") {
    const FakeGpu gpu;
    const auto backend = FakeGpu::backend();
    const Bench bench(kClassifier, *backend, Precision::f32);
    const Floats images = images_of(bench.graph);
    const int last = static_cast<int>(bench.graph.nodes.size()) - 1;
    const auto output = [&](bool overwritten) {
        std::copy(images.begin(), images.end(), bench.plan->input());
        bench.plan->forward();
        if (overwritten) std::reverse_copy(images.begin(), images.end(), bench.plan->input());
        Floats values(kImages * bench.graph.nodes[last].out.size());
        bench.plan->read(last, values.data());
        return values;
    };
    CHECK(same_bits(output(true), output(false)));
}

TEST_CASE("cuda training: the same bits in every run, whatever the order of threads") {
    const FakeGpu gpu;
    for (const std::string& cfg : {kTiny, kClassifier}) {
        CAPTURE(cfg);
        const std::shared_ptr<const Backend> backend = FakeGpu::backend();
        const Floats first = train(cfg, backend);
        for (const Schedule schedule : kSchedules) {
            gpu.set("schedule", static_cast<long long>(schedule));
            CHECK(same_bits(train(cfg, backend), first));
        }
    }
}

TEST_CASE("cuda training: every layer, gradient, statistic and update agrees with ref") {
    const FakeGpu gpu;
    for (const std::string& cfg : {kTiny, kClassifier}) {
        CAPTURE(cfg);
        const std::shared_ptr<const Backend> check = make_check_backend(FakeGpu::backend(), make_backend("ref"));
        const Floats values = train(cfg, check);
        CHECK(std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); }));
    }
}
