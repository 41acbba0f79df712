// SPDX-License-Identifier: Apache-2.0
// "check:A,B" in training: a planted difference is found, and named by the layer and the pass in which it was planted.
#include "backends/check.hpp"
#include "backends/host/train_state.hpp"
#include "hidden_backend.hpp"
#include "support.hpp"
#include "trainer.hpp"
#include "wrapped.hpp"

using namespace dn;
using namespace dn::test;

namespace {

const std::string kNet =
    "[net]\nbatch=2\nwidth=4\nheight=4\nchannels=1\nadam=1\nema_alpha=0.9\n"
    "[convolutional]\nfilters=3\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n"
    "[convolutional]\nfilters=7\nsize=1\nactivation=linear\n"
    "[yolo]\nmask=0\nnum=1\nanchors=2,2\nclasses=2\n";

enum class Where { nowhere, output, loss, delta, gradient, statistics, update };

struct Fault {
    Where where;
    int layer = 0;
};

class FaultyState : public HostTrainState {
public:
    FaultyState(const Graph& graph, std::shared_ptr<Parameters> parameters, int threads, Fault fault)
        : HostTrainState(graph, std::move(parameters), threads), fault_(fault) {}
    void update(const UpdateRule& rule) override {
        HostTrainState::update(rule);
        if (fault_.where == Where::update) raise(StateKind::parameters, Role::biases);
    }
    void keep_batch() override {
        HostTrainState::keep_batch();
        if (fault_.where == Where::statistics) raise(StateKind::parameters, Role::means);
    }
    void raise(StateKind kind, Role role) {
        Floats values(count(kind, fault_.layer, role));
        get(kind, fault_.layer, role, values.data());
        values[1] += 1;
        set(kind, fault_.layer, role, values.data());
    }

private:
    Fault fault_;
};

class FaultyPlan : public WrappedPlan {
public:
    FaultyPlan(const Graph& graph, const PlanOptions& options, std::unique_ptr<Plan> plan, Fault fault)
        : WrappedPlan(graph, options.batch, std::move(plan)),
          fault_(fault),
          state_(*dynamic_cast<FaultyState*>(options.training->state)) {}
    void read(int node, float* dst) const override {
        WrappedPlan::read(node, dst);
        if (fault_.where == Where::output && node == fault_.layer) dst[0] += 1;
    }
    void read_delta(int node, float* dst) const override {
        WrappedPlan::read_delta(node, dst);
        if (fault_.where == Where::delta) dst[0] += 1;
    }
    void backward(const LossContext& context, std::vector<LossReport>& reports) override {
        WrappedPlan::backward(context, reports);
        if (fault_.where == Where::loss) reports[fault_.layer].cost *= 1.01f;
        if (fault_.where == Where::gradient) state_.raise(StateKind::gradients, Role::weights);
    }

private:
    Fault fault_;
    FaultyState& state_;
};

class Faulty : public WrappedBackend {
public:
    explicit Faulty(Fault fault) : fault_(fault) {}
    std::string name() const override { return "faulty"; }
    std::unique_ptr<Plan> compile(const Graph& graph, const std::shared_ptr<const Parameters>& parameters,
                                  const PlanOptions& options) const override {
        return std::make_unique<FaultyPlan>(graph, options, WrappedBackend::compile(graph, parameters, options),
                                            fault_);
    }
    std::shared_ptr<TrainState> train_state(const Graph& graph, const std::shared_ptr<Parameters>& parameters,
                                            int threads) const override {
        return std::make_shared<FaultyState>(graph, parameters, threads, fault_);
    }

private:
    Fault fault_;
};

// Two mini-batches and an update, twice; the costs.
Floats train(std::shared_ptr<const Backend> backend) {
    NetworkOptions options;
    options.backend = "ref";
    options.threads = 1;
    const Network network(parse_cfg(kNet, "net.cfg"), "", options);
    Trainer trainer(network, std::move(backend));
    Floats images(2 * 16), truths(2 * 12), costs;
    for (std::size_t k = 0; k < images.size(); ++k) images[k] = static_cast<float>(k * 7 % 16) / 15;
    for (std::size_t image = 0; image < 2; ++image) truths[image * 12] = truths[image * 12 + 1] = 0.4f;
    for (std::size_t image = 0; image < 2; ++image) truths[image * 12 + 2] = truths[image * 12 + 3] = 0.5f;
    for (int update = 0; update < 2; ++update) {
        for (int batch = 0; batch < 2; ++batch)
            costs.push_back(trainer.accumulate(images.data(), 2, truths.data(), 12));
        trainer.update();
    }
    return costs;
}

std::string found(Fault fault) {
    return error_of(Status::backend,
                    [&] { train(make_check_backend(make_backend("ref"), std::make_unique<Faulty>(fault))); });
}

}  // namespace

TEST_CASE("check in training: backends that agree train like the first one") {
    CHECK(train(make_backend("check:ref,ref")) == train(make_backend("ref")));
    CHECK(found({Where::nowhere}).empty());
    for (const std::string& name : backend_names()) {
        CAPTURE(name);
        CHECK(train(make_backend("check:" + name + ",ref")) == train(make_backend(name)));
    }
}

TEST_CASE("check in training: backends may keep their numbers where they like") {
    const Floats expected = train(make_backend("ref"));
    CHECK(train(make_check_backend(make_backend("ref"), std::make_unique<HiddenBackend>())) == expected);
    CHECK(train(make_check_backend(std::make_unique<HiddenBackend>(), make_backend("ref"))) == expected);
}

TEST_CASE("check in training: the first layer that differs is named, with what differs") {
    const std::string names = "backends ref and faulty differ first at layer ";
    CHECK_CONTAINS(found({Where::output, 1}), names + "1 (convolutional), in its output: found ");
    CHECK_CONTAINS(found({Where::loss, 2}), names + "2 (yolo), in its loss: found ");
    CHECK_CONTAINS(found({Where::delta, 2}), names + "2 (yolo), in its delta: found ");
    CHECK_CONTAINS(found({Where::gradient, 0}),
                   "net.cfg:8 [convolutional]: " + names + "0 (convolutional), in its gradient of weights: found ");
    CHECK_CONTAINS(found({Where::gradient, 0}), " at index 1, a difference of 1 where the largest value is ");
    CHECK_CONTAINS(found({Where::statistics, 0}), names + "0 (convolutional), in its means after the mini-batch: ");
    CHECK_CONTAINS(found({Where::update, 1}), names + "1 (convolutional), in its biases after the update: found ");
}
