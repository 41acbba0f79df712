// SPDX-License-Identifier: Apache-2.0
// Trainings on the GPU of the fake driver: in float16, where memory is short, and beside clones that detect.
#include <cmath>

#include "../support.hpp"
#include "fake_gpu.hpp"
#include "trainer.hpp"

using namespace dn;
using namespace dn::test;

namespace {

std::string cfg(const std::string& keys = "") {
    return "[net]\nbatch=4\nwidth=6\nheight=6\nchannels=2\nlearning_rate=0.05\n" + keys +
           "[convolutional]\nfilters=4\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n"
           "[convolutional]\nfilters=3\nactivation=linear\n[cost]\n";
}

struct Run {
    Run(const std::string& text, Precision precision)
        : network(parse_cfg(text, "net.cfg"), "", options()), trainer(network, backend, precision) {}
    static NetworkOptions options() {
        NetworkOptions all;
        all.backend = "ref";
        all.threads = 1;
        return all;
    }

    float accumulate(int n = 2) {
        Floats images(n * 2 * 36), truths(n * 3 * 36, 0.5f);
        for (std::size_t i = 0; i < images.size(); ++i) images[i] = std::abs(std::sin(static_cast<float>(i)));
        return trainer.accumulate(images.data(), n, truths.data(), 3 * 36);
    }
    Floats get(StateKind kind, int layer, Role role) const {
        Floats values(trainer.count(kind, layer, role));
        trainer.get(kind, layer, role, values.data(), values.size());
        return values;
    }

    std::shared_ptr<const Backend> backend = FakeGpu::backend();
    Network network;
    Trainer trainer;
};

float largest_difference(const Floats& a, const Floats& b) {
    float difference = 0;
    for (std::size_t i = 0; i < a.size(); ++i) difference = std::max(difference, std::abs(a[i] - b[i]));
    return difference;
}

}  // namespace

TEST_CASE("cuda training: the loss scale leaves gradients and deltas as they are, to the rounding of float16") {
    const FakeGpu gpu;
    Run exact(cfg(), Precision::f32), scaled(cfg("loss_scale=512\n"), Precision::f16);
    CHECK(exact.trainer.loss_scale() == nullptr);
    for (Run* run : {&exact, &scaled}) {
        run->accumulate();
        run->accumulate();
    }
    for (int layer = 0; layer < 2; ++layer)
        for (const Role role : {Role::biases, Role::weights}) {
            CAPTURE(layer);
            const Floats expected = exact.get(StateKind::gradients, layer, role);
            const Floats found = scaled.get(StateKind::gradients, layer, role);
            CHECK(largest_difference(found, Floats(found.size())) > 0.01f);
            CHECK(largest_difference(found, expected) < 0.02f * largest_difference(expected, Floats(expected.size())));
        }
    Floats deltas[2] = {Floats(2 * 3 * 36), Floats(2 * 3 * 36)};
    exact.trainer.read_delta(2, deltas[0].data(), deltas[0].size());
    scaled.trainer.read_delta(2, deltas[1].data(), deltas[1].size());
    CHECK(largest_difference(deltas[0], deltas[1]) < 0.01f);
}

TEST_CASE("cuda training: gradients that overflow in float16 move nothing, until the scale is small enough") {
    const FakeGpu gpu;
    Run run(cfg("loss_scale=1e6\n"), Precision::f16);
    int skipped = 0;
    for (; skipped < 10; ++skipped) {
        const Floats weights = run.get(StateKind::parameters, 0, Role::weights);
        const Floats momentum = run.get(StateKind::gradients, 0, Role::weights);
        run.accumulate();
        CHECK(run.trainer.first_non_finite().empty());
        run.trainer.update();
        if (!run.trainer.has_skipped()) break;
        CHECK(run.get(StateKind::parameters, 0, Role::weights) == weights);
        CHECK(run.get(StateKind::gradients, 0, Role::weights) == momentum);
    }
    CHECK(skipped > 0);
    CHECK(skipped < 10);
    CHECK(run.trainer.loss_scale()->factor() == std::ldexp(1e6f, -skipped));
    CHECK(run.trainer.loss_scale()->good() == 1);
    CHECK(run.trainer.first_non_finite().empty());
}

TEST_CASE(
    "cuda training: activations that overflow in float16 are skipped, and leave rolling statistics as they were") {
    const FakeGpu gpu;
    Run run(cfg("loss_scale=4\n"), Precision::f16);
    run.accumulate();
    run.trainer.update();
    const auto all = [&] {
        Floats found;
        for (const StateKind kind : {StateKind::parameters, StateKind::gradients})
            for (const Role role : kRoles) {
                const Floats values = run.get(kind, 0, role);
                found.insert(found.end(), values.begin(), values.end());
            }
        return found;
    };
    const Floats before = all();
    Floats images(2 * 2 * 36, 1e6f), truths(2 * 3 * 36, 0.5f);  // beyond 65504
    CHECK_FALSE(std::isfinite(run.trainer.accumulate(images.data(), 2, truths.data(), 3 * 36)));
    CHECK_FALSE(std::isfinite(run.get(StateKind::parameters, 0, Role::means)[0]));
    CHECK(run.trainer.first_non_finite().empty());
    run.trainer.update();
    CHECK(run.trainer.has_skipped());
    CHECK(run.trainer.loss_scale()->factor() == 2);
    CHECK(all() == before);
    run.accumulate();
    run.trainer.update();
    CHECK_FALSE(run.trainer.has_skipped());
}

TEST_CASE("cuda training: a trainer on a GPU that stopped is freed with its network") {
    const FakeGpu gpu;
    std::weak_ptr<Parameters> parameters;
    {
        Run run(cfg(), Precision::f32);
        parameters = run.network.shared_parameters();
        run.accumulate();
        run.trainer.update();  // the host has not read what moved
        gpu.set("fail", 700);
        CHECK_CONTAINS(error_of(Status::backend, [&] { run.accumulate(); }), "CUDA_ERROR_ILLEGAL_ADDRESS");
    }
    CHECK(parameters.expired());
}

TEST_CASE("cuda training: the forecast has the most that cuDNN may take as scratch memory") {
    const FakeGpu gpu;
    const auto backend = FakeGpu::backend();
    CHECK(backend->most_scratch_bytes(graph_of(cfg())) == std::size_t{256} << 20);
    CHECK(backend->most_scratch_bytes(
              graph_of("[net]\nwidth=4\nheight=4\nchannels=1\n[maxpool]\nsize=2\nstride=2\n")) == 0);
}

TEST_CASE("cuda training: a GPU that is too small names the subdivisions that fit, and they do") {
    const FakeGpu gpu;
    Run run(cfg(), Precision::f32);
    run.accumulate(1);  // what it takes of its state once, it has now
    const auto bytes = [&](int n) {
        Training training{run.network.shared_parameters()->training.get(), 0};
        PlanOptions options;
        options.batch = n;
        options.precision = Precision::f32;
        options.training = &training;
        return static_cast<long long>(run.backend->plan_bytes(run.trainer.graph(), options));
    };
    REQUIRE(bytes(4) > bytes(2));
    gpu.set("memory", gpu.count("used") + bytes(2));
    CHECK_CONTAINS(error_of(Status::out_of_memory, [&] { run.accumulate(4); }), "free on the GPU, expected 1 MB");
    CHECK_CONTAINS(error_of(Status::out_of_memory, [&] { run.accumulate(4); }),
                   "a batch of 3 may fit; subdivisions=2 may fit");
    CHECK(std::isfinite(run.accumulate(2)));
    run.trainer.update();
}
