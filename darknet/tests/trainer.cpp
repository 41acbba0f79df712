// SPDX-License-Identifier: Apache-2.0
// Where rolling statistics begin, and that a mini-batch which fails leaves nothing behind.
#include "trainer.hpp"

#include "hidden_backend.hpp"
#include "support.hpp"
#include "wrapped.hpp"

using namespace dn;
using namespace dn::test;

namespace {

const std::string kNet = "[net]\nbatch=2\nwidth=4\nheight=4\nchannels=1\n";
const std::string kConv = "[convolutional]\nfilters=2\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n";
const Floats kImages(2 * 16, 0.5f), kTruths(2 * 32, 1);

Network network_of(const std::string& sections) {
    NetworkOptions options;
    options.backend = "ref";
    options.threads = 1;
    return Network(parse_cfg(kNet + sections, "net.cfg"), "", options);
}

// A backend whose plans fail in one of their two passes while `fails` says so.
enum class Fails { never, forward, backward };

class FailingPlan : public WrappedPlan {
public:
    FailingPlan(const Graph& graph, int batch, std::unique_ptr<Plan> plan, const Fails& fails)
        : WrappedPlan(graph, batch, std::move(plan)), fails_(fails) {}
    void forward() override {
        WrappedPlan::forward();
        if (fails_ == Fails::forward) throw Error(Status::backend, "", "out of luck");
    }
    void backward(const LossContext& context, std::vector<LossReport>& reports) override {
        WrappedPlan::backward(context, reports);
        if (fails_ == Fails::backward) throw Error(Status::backend, "", "out of luck");
    }

private:
    const Fails& fails_;
};

class FailingBackend : public WrappedBackend {
public:
    FailingBackend(std::shared_ptr<const Backend> backend, const Fails& fails)
        : WrappedBackend(std::move(backend)), fails_(fails) {}
    std::string name() const override { return "failing"; }
    std::unique_ptr<Plan> compile(const Graph& graph, const std::shared_ptr<const Parameters>& parameters,
                                  const PlanOptions& options) const override {
        return std::make_unique<FailingPlan>(graph, options.batch, WrappedBackend::compile(graph, parameters, options),
                                             fails_);
    }

private:
    const Fails& fails_;
};

// A device with room for `room` images at a time.
class SmallBackend : public WrappedBackend {
public:
    explicit SmallBackend(int room) : room_(room) {}
    std::unique_ptr<Plan> compile(const Graph& graph, const std::shared_ptr<const Parameters>& parameters,
                                  const PlanOptions& options) const override {
        if (options.batch > room_) throw Error(Status::out_of_memory, "cuda:0", "found 1 MB free");
        return WrappedBackend::compile(graph, parameters, options);
    }
    std::size_t plan_bytes(const Graph&, const PlanOptions& options) const override { return options.batch; }
    std::size_t free_bytes() const override { return room_; }

private:
    int room_;
};

struct Moved {
    std::uint64_t seen;
    Floats means, variances;
    int pending;
    friend bool operator==(const Moved& a, const Moved& b) {
        return a.seen == b.seen && a.means == b.means && a.variances == b.variances && a.pending == b.pending;
    }
};

Floats state_of(const Trainer& trainer, StateKind kind, int layer, Role role) {
    Floats values(trainer.count(kind, layer, role));
    trainer.get(kind, layer, role, values.data(), values.size());
    return values;
}

Floats variances(const Trainer& trainer, int layer) {
    return state_of(trainer, StateKind::parameters, layer, Role::variances);
}

Moved moved(const Trainer& trainer) {
    return {trainer.seen(), state_of(trainer, StateKind::parameters, 0, Role::means), variances(trainer, 0),
            trainer.pending()};
}

}  // namespace

TEST_CASE("trainer: a network without a loss is refused") {
    const std::string message = error_of(Status::cfg, [] { Trainer(network_of(kConv)); });
    CHECK_CONTAINS(message, "net.cfg: cannot be trained: no layer has a loss; expected a head, softmax or cost");
}

TEST_CASE("trainer: rolling variances that no file gave begin at 0, as in Darknet") {
    on_every_backend([](const std::shared_ptr<const Backend>& backend) {
        Network network = network_of(kConv + "[cost]\n");
        CHECK(network.shared_parameters()->nodes[0].variances == Floats{1, 1});
        Trainer trainer(network, backend);
        CHECK(variances(trainer, 0) == Floats{0, 0});
        trainer.accumulate(kImages.data(), 2, kTruths.data(), 32);
        const float rolling = variances(trainer, 0)[0];
        CHECK(rolling > 0);
        // All images are equal: each mini-batch has the same statistics, of which a hundredth joins.
        trainer.accumulate(kImages.data(), 2, kTruths.data(), 32);
        CHECK(variances(trainer, 0)[0] == doctest::Approx(1.99 * rolling));
    });
}

TEST_CASE("trainer: variances from a file, and those of frozen layers, stay") {
    on_every_backend([&](const std::shared_ptr<const Backend>& backend) {
        const TemporaryFolder folder;
        const std::string cfg = kNet + kConv + "stopbackward=1\n" + kConv + "[cost]\n", file = folder.file("a.weights");
        {
            Network network = network_of(kConv + kConv + "[cost]\n");
            write_weights(file, network.graph(), *network.shared_parameters(), -1);
        }
        NetworkOptions options;
        options.backend = "ref";
        Trainer loaded(Network(parse_cfg(kNet + kConv + kConv + "[cost]\n", "net.cfg"), file, options), backend);
        CHECK(variances(loaded, 1) == Floats{1, 1});
        Trainer frozen(Network(parse_cfg(cfg, "net.cfg"), "", options), backend);
        CHECK(variances(frozen, 0) == Floats{1, 1});
        CHECK(variances(frozen, 1) == Floats{0, 0});
    });
}

TEST_CASE("trainer: truths of a wrong size are refused before anything moves") {
    on_every_backend([](const std::shared_ptr<const Backend>& backend) {
        Trainer trainer(network_of(kConv + "[cost]\n"), backend);
        const Moved before = moved(trainer);
        const auto accumulate = [&](std::size_t stride) {
            return error_of(Status::invalid_argument,
                            [&] { trainer.accumulate(kImages.data(), 2, kTruths.data(), stride); });
        };
        CHECK_CONTAINS(accumulate(31),
                       "[cost]: found 31 truth values an image, expected one for each of its 32 outputs");
        CHECK(moved(trainer) == before);
        CHECK(accumulate(32).empty());
        CHECK(trainer.seen() == 2);
        Trainer detector(network_of("[convolutional]\nfilters=7\nactivation=linear\n"
                                    "[yolo]\nmask=0\nnum=1\nanchors=2,2\nclasses=2\n"),
                         backend);
        CHECK_CONTAINS(
            error_of(Status::invalid_argument, [&] { detector.accumulate(kImages.data(), 2, kTruths.data(), 8); }),
            "[yolo]: found 8 truth values an image, expected rows of 6: x, y, w, h, class, track id");
    });
}

TEST_CASE("losses of a prediction: truths of a wrong size are refused") {
    Network network = network_of(kConv + "[cost]\n");
    network.predict(kImages.data(), 1, {});
    const std::string message = error_of(Status::invalid_argument, [&] { network.losses({kTruths.data(), 1, 31}); });
    CHECK_CONTAINS(message, "[cost]: found 31 truth values an image, expected one for each of its 32 outputs");
}

TEST_CASE("trainer: a mini-batch that fails leaves counters and rolling statistics as they were") {
    on_every_backend([](const std::shared_ptr<const Backend>& backend) {
        Fails fails = Fails::never;
        Network network = network_of(kConv + "[cost]\n");
        Trainer trainer(network, std::make_shared<FailingBackend>(backend, fails));
        const auto accumulate = [&] { return trainer.accumulate(kImages.data(), 2, kTruths.data(), 32); };
        accumulate();
        const Moved before = moved(trainer);
        const Floats gradients = state_of(trainer, StateKind::gradients, 0, Role::weights);

        fails = Fails::forward;
        CHECK_CONTAINS(error_of(Status::backend, accumulate), "out of luck");
        CHECK(moved(trainer) == before);
        CHECK(state_of(trainer, StateKind::gradients, 0, Role::weights) == gradients);
        fails = Fails::never;
        accumulate();  // nothing was lost: it continues
        CHECK(trainer.seen() == before.seen + 2);

        const Moved again = moved(trainer);
        fails = Fails::backward;
        CHECK_CONTAINS(error_of(Status::backend, accumulate), "out of luck");
        CHECK(moved(trainer) == again);
        const std::string torn = "the gradients are incomplete; load a saved state to continue";
        CHECK_CONTAINS(error_of(Status::invalid_argument, accumulate), torn);
        CHECK_CONTAINS(error_of(Status::invalid_argument, [&] { trainer.update(); }), torn);
        fails = Fails::never;
        trainer.set_counters(3, 12);
        CHECK(trainer.pending() == 0);
        accumulate();
        CHECK(trainer.seen() == 14);
    });
}

TEST_CASE("trainer: counters of a damaged state are refused, and nothing changes") {
    Network network = network_of(kConv + "[softmax]\n");
    Trainer trainer(network);
    trainer.set_counters(3, 12);
    const auto refused = [&](std::int64_t iteration, std::uint64_t seen, const char* message) {
        CHECK_CONTAINS(error_of(Status::invalid_argument, [&] { trainer.set_counters(iteration, seen); }), message);
        CHECK(trainer.iteration() == 3);
        CHECK(trainer.seen() == 12);
    };
    refused(-1, 12, "found iteration -1, expected 0 to 1000000000000");
    refused(std::int64_t{1} << 60, 12, "found iteration 1152921504606846976");
    refused(3, std::uint64_t{1} << 63, "found 9223372036854775808 images seen, expected at most 1000000000000");
}

TEST_CASE("trainer: reading a state changes no version, so a prediction keeps its compiled plan") {
    Network network = network_of(kConv + "[softmax]\n");
    Trainer trainer(network);
    const std::vector<float> image(network.graph().input.size(), 0.5f);
    network.predict(image.data(), 1, {});
    const Plan* const compiled = network.compiled_plan();
    const std::uint64_t weights = network.parameters()->weights_version.load(),
                        statistics = network.parameters()->statistics_version.load();
    for (const StateKind kind : {StateKind::parameters, StateKind::gradients})
        for (const Role role : {Role::biases, Role::weights}) state_of(trainer, kind, 0, role);
    CHECK(network.parameters()->weights_version.load() == weights);
    CHECK(network.parameters()->statistics_version.load() == statistics);
    network.predict(image.data(), 1, {});
    CHECK(network.compiled_plan() == compiled);
}

TEST_CASE("trainer: where memory is too small for a mini-batch, the subdivisions that fit are named") {
    NetworkOptions options;
    options.backend = "ref";
    const std::string net = "[net]\nbatch=12\nwidth=4\nheight=4\nchannels=1\n";
    const Network network(parse_cfg(net + kConv + "[cost]\n", "net.cfg"), "", options);
    const Floats images(12 * 16), truths(12 * 32);
    const auto message = [&](int room, int n) {
        Trainer trainer(network, std::make_shared<SmallBackend>(room));
        return error_of(Status::out_of_memory, [&] { trainer.accumulate(images.data(), n, truths.data(), 32); });
    };
    CHECK(message(5, 12) == "cuda:0: found 1 MB free; subdivisions=3 fits");
    CHECK(message(3, 6) == "cuda:0: found 1 MB free; subdivisions=4 fits");
    CHECK(message(0, 1) == "cuda:0: found 1 MB free");
}
