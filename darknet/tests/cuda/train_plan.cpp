// SPDX-License-Identifier: Apache-2.0
// Training on the GPU of the fake driver: memory, bits, the layers that need no host, and a comparison with ref layer
// by layer.
#include <cmath>

#include "backends/check.hpp"
#include "backends/registry.hpp"
#include "fake_gpu.hpp"
#include "kernels.hpp"
#include "trainer.hpp"

using namespace dn;
using namespace dn::test;

namespace {

constexpr int kImages = 2;

// The layers of yolov4-tiny, and those whose backward pass keeps something or has tables.
const std::string kTiny =
    "[net]\nbatch=2\nwidth=16\nheight=16\nchannels=3\n"
    "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
    "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\npad=1\nactivation=mish\n"
    "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n"
    "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\nactivation=swish\n"
    "[route]\nlayers=-1,-2\n"
    "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=1\nactivation=leaky\n"
    "[shortcut]\nfrom=-5\nactivation=mish\nweights_type=per_channel\n"
    "[route]\nlayers=-1,-2\n"
    "[maxpool]\nsize=2\nstride=2\n"
    "[dropout]\nprobability=0.2\n"
    "[convolutional]\nfilters=14\nsize=1\nactivation=linear\n"
    "[yolo]\nmask=0,1\nnum=2\nanchors=4,4, 6,8\nclasses=2\nscale_x_y=1.1\n"
    "[route]\nlayers=-3\n"
    "[reorg]\nstride=2\n"
    "[upsample]\nstride=2\n"
    "[convolutional]\nfilters=14\nsize=1\nactivation=linear\n"
    "[yolo]\nmask=0,1\nnum=2\nanchors=4,4, 6,8\nclasses=2\n";

const std::string kClassifier =
    "[net]\nbatch=2\nwidth=8\nheight=8\nchannels=3\n"
    "[convolutional]\nbatch_normalize=1\nfilters=6\nsize=3\npad=1\nactivation=leaky\nstopbackward=1\n"
    "[convolutional]\nfilters=6\nsize=3\npad=1\nactivation=logistic\n"
    "[normalization]\n[batchnorm]\n[activation]\nactivation=swish\n"
    "[sam]\nfrom=-4\n"
    "[avgpool]\n[scale_channels]\nfrom=-2\nactivation=mish\n"
    "[local_avgpool]\nsize=2\nstride=2\n"
    "[connected]\noutput=12\nbatch_normalize=1\nactivation=mish\n"
    "[connected]\noutput=4\nactivation=linear\n[softmax]\n";

Floats images_of(const Graph& graph) {
    Floats images(kImages * graph.input.size());
    for (std::size_t k = 0; k < images.size(); ++k) images[k] = static_cast<float>(k * 37 % 101) / 100;
    return images;
}

// A box in each image, or one class of four.
Floats truths_of(const Graph& graph) {
    if (graph.nodes.back().kind == Kind::softmax) return {0, 1, 0, 0, 0, 0, 0, 1};
    return {0.3f, 0.35f, 0.4f, 0.5f, 1, 0, 0, 0, 0, 0, 0, 0, 0.7f, 0.6f, 0.5f, 0.4f, 0, 0, 0, 0, 0, 0, 0, 0};
}

// Two mini-batches and an update, twice: every parameter and gradient.
Floats train(const std::string& cfg, const std::shared_ptr<const Backend>& backend) {
    NetworkOptions options;
    options.backend = "ref";
    options.threads = 1;
    const Network network(parse_cfg(cfg, "net.cfg"), "", options);
    const Graph& graph = network.graph();
    Trainer trainer(network, backend);
    const Floats images = images_of(graph), truths = truths_of(graph);
    for (int mini_batch = 0; mini_batch < 4; ++mini_batch) {
        trainer.accumulate(images.data(), kImages, truths.data(), truths.size() / kImages);
        if (mini_batch % 2) trainer.update();
    }
    Floats all;
    for (const Node& node : graph.nodes)
        for (const StateKind kind : {StateKind::parameters, StateKind::gradients})
            for (const Role role : kRoles) {
                Floats values(trainer.count(kind, node.index, role));
                trainer.get(kind, node.index, role, values.data(), values.size());
                all.insert(all.end(), values.begin(), values.end());
            }
    return all;
}

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
    constexpr long long kWorkspace = 256, kCounters = 16;
    for (const std::string& cfg : {kTiny, kClassifier})
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
