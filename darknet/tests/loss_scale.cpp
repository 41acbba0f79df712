// SPDX-License-Identifier: Apache-2.0
// Training in float16: gradients that overflow move nothing, and the scale follows.
#include "loss_scale.hpp"

#include <cmath>

#include "backends/host/train_state.hpp"
#include "support.hpp"
#include "trainer.hpp"
#include "wrapped.hpp"

using namespace dn;
using namespace dn::test;

namespace {

std::string cfg(const std::string& keys = "") {
    return "[net]\nbatch=2\nwidth=4\nheight=4\nchannels=1\nlearning_rate=0.1\n" + keys +
           "[convolutional]\nfilters=1\nbatch_normalize=1\nactivation=linear\n[cost]\n";
}

constexpr Role kRolesOfLayer[] = {Role::biases, Role::scales, Role::weights};

Floats values_of(const TrainState& state, StateKind kind, Role role) {
    Floats values(state.count(kind, 0, role));
    state.get(kind, 0, role, values.data());
    return values;
}

// The state of a backend that computes in float16, as far as the trainer sees it.
class ScaledState : public HostTrainState {
public:
    using HostTrainState::HostTrainState;
    void set_loss_scale(float factor) override { scale = factor; }
    void begin_update() override {
        for (const Role role : kRolesOfLayer) kept_.array(role) = values_of(*this, StateKind::gradients, role);
        for (const Role role : {Role::means, Role::variances})
            kept_.array(role) = values_of(*this, StateKind::parameters, role);
    }
    void drop_update() override {
        for (const Role role : kRolesOfLayer) set(StateKind::gradients, 0, role, kept_.array(role).data());
        for (const Role role : {Role::means, Role::variances})
            set(StateKind::parameters, 0, role, kept_.array(role).data());
    }
    bool has_overflowed() const override { return first_non_finite().find("gradient") != std::string::npos; }

    float scale = 0;

private:
    NodeParameters kept_;
};

// Computes as ref does, and says that this is float16.
class ScaledBackend : public WrappedBackend {
public:
    std::vector<PrecisionChoice> precisions() const override { return {{Precision::f16, ""}}; }
    std::unique_ptr<Plan> compile(const Graph& graph, const std::shared_ptr<const Parameters>& parameters,
                                  const PlanOptions& options) const override {
        PlanOptions exact = options;
        exact.precision = Precision::f32;
        return WrappedBackend::compile(graph, parameters, exact);
    }
    std::shared_ptr<TrainState> train_state(const Graph& graph, const std::shared_ptr<Parameters>& parameters,
                                            int threads) const override {
        return state = std::make_shared<ScaledState>(graph, parameters, threads);
    }
    mutable std::shared_ptr<ScaledState> state;
};

struct Run {
    explicit Run(const std::string& keys = "")
        : network(parse_cfg(cfg(keys), "net.cfg"), "", options()), trainer(network, backend, Precision::f16) {}
    static NetworkOptions options() {
        NetworkOptions all;
        all.backend = "ref";
        all.threads = 1;
        return all;
    }

    void accumulate() {
        Floats images(2 * 16), truths(2 * 16, 0.5f);
        for (std::size_t i = 0; i < images.size(); ++i) images[i] = static_cast<float>(i % 7) / 7;
        trainer.accumulate(images.data(), 2, truths.data(), 16);
    }
    void overflow() {
        const Floats infinite(1, INFINITY);
        trainer.set(StateKind::gradients, 0, Role::weights, infinite.data(), 1);
    }
    void skip() {
        accumulate();
        overflow();
        trainer.update();
    }
    Floats all() const {
        Floats found;
        for (const StateKind kind : {StateKind::parameters, StateKind::gradients})
            for (const Role role : kRolesOfLayer)
                for (const float value : values_of(*backend->state, kind, role)) found.push_back(value);
        return found;
    }

    std::shared_ptr<ScaledBackend> backend = std::make_shared<ScaledBackend>();
    Network network;
    Trainer trainer;
};

}  // namespace

TEST_CASE("loss scale: it is halved, and doubled after 2000 updates in a row") {
    LossScale scale(1024);
    for (int i = 0; i < 1999; ++i) scale.count_update();
    CHECK(scale.factor() == 1024);
    CHECK(scale.good() == 1999);
    LossScale resumed(scale.factor(), scale.good());
    scale.halve();
    CHECK(scale.factor() == 512);
    CHECK(scale.good() == 0);
    resumed.count_update();
    CHECK(resumed.factor() == 2048);
    CHECK(resumed.good() == 0);
    LossScale largest(1 << 24, 1999);
    largest.count_update();
    CHECK(largest.factor() == 1 << 24);
    CHECK_FALSE(LossScale(1).may_halve());
}

TEST_CASE("loss scale: from any that is allowed it stays among them") {
    for (const float start : {1.0f, 3.0f, 1000.0f, 1e6f, 16777215.0f}) {
        LossScale falling(start), rising(start, 1999);
        for (int i = 0; i < 30; ++i) {
            if (falling.may_halve()) falling.halve();
            rising.count_update();
            rising = LossScale(rising.factor(), 1999);
            CHECK(LossScale::is_valid(falling.factor(), falling.good()));
            CHECK(LossScale::is_valid(rising.factor(), rising.good()));
        }
        CHECK(falling.factor() == 1);
        CHECK(rising.factor() == LossScale::kLargest);
    }
}

TEST_CASE("loss scale: gradients that overflow move nothing, and momentum stays") {
    Run run;
    CHECK(run.backend->state->scale == 32768);
    run.accumulate();
    run.trainer.update();
    CHECK_FALSE(run.trainer.has_skipped());
    const Floats before = run.all();
    run.accumulate();
    run.accumulate();  // in two mini-batches
    CHECK(run.all() != before);
    run.overflow();
    CHECK(run.trainer.first_non_finite().empty());  // what will be skipped
    run.trainer.update();
    CHECK(run.trainer.has_skipped());
    CHECK(run.all() == before);
    CHECK(run.trainer.iteration() == 2);
    CHECK(run.trainer.seen() == 6);
    CHECK(run.trainer.loss_scale()->factor() == 16384);
    CHECK(run.backend->state->scale == 16384);
    run.accumulate();
    run.trainer.update();
    CHECK_FALSE(run.trainer.has_skipped());
    CHECK(run.all() != before);
    CHECK(run.trainer.loss_scale()->good() == 1);
}

TEST_CASE("loss scale: gradients that overflow without a scale are an error as ever, and those of parameters always") {
    Run run("loss_scale=2\n");
    run.skip();
    CHECK(run.trainer.has_skipped());
    CHECK(run.trainer.loss_scale()->factor() == 1);
    run.accumulate();
    run.overflow();
    CHECK_CONTAINS(run.trainer.first_non_finite(), "its gradient of weights is not finite (layer 0)");
    run.trainer.update();
    CHECK_FALSE(run.trainer.has_skipped());
    CHECK(run.trainer.loss_scale()->factor() == 1);
    CHECK_CONTAINS(error_of(Status::cfg, [] { Run("loss_scale=-1\n"); }),
                   "found loss_scale=-1, expected 1 to 16777216, or 0 for 32768");
}

TEST_CASE("loss scale: the moving average becomes the parameters though that update is skipped") {
    Run run("ema_alpha=0.5\nmax_batches=2004\n");
    run.trainer.set_counters(1001, 2002);
    for (int i = 0; i < 2; ++i) {  // 1002 and 1003; a thousand before the end comes next
        run.accumulate();
        run.trainer.update();
    }
    const Floats average = values_of(*run.backend->state, StateKind::ema, Role::weights);
    CHECK(values_of(*run.backend->state, StateKind::parameters, Role::weights) != average);
    run.skip();
    CHECK(run.trainer.has_skipped());
    CHECK(values_of(*run.backend->state, StateKind::parameters, Role::weights) == average);
}

// An update that was skipped is none: the moments have not moved, so their corrections count the others alone.
TEST_CASE("loss scale: Adam's corrections do not count updates that were skipped") {
    Run run("adam=1\n"), other("adam=1\n");
    run.skip();
    CHECK(run.trainer.iteration() == 1);
    CHECK(run.trainer.skipped() == 1);
    run.accumulate();
    run.trainer.update();
    other.accumulate();
    other.trainer.update();
    CHECK(run.all() == other.all());
    Run resumed("adam=1\n");
    for (const StateKind kind : {StateKind::parameters, StateKind::adam_m, StateKind::adam_v})
        for (const Role role : kRoles) {
            const Floats values = values_of(*run.backend->state, kind, role);
            if (!values.empty()) resumed.trainer.set(kind, 0, role, values.data(), values.size());
        }
    resumed.trainer.set_counters(2, 4, 1);
    for (Run* one : {&run, &resumed}) {
        one->accumulate();
        one->trainer.update();
    }
    CHECK(resumed.all() == run.all());
    CHECK_CONTAINS(error_of(Status::invalid_argument, [&] { resumed.trainer.set_counters(2, 4, 3); }),
                   "found 3 skipped updates, expected 0 to 2, the iteration");
}

TEST_CASE("loss scale: a training continues with the scale that it had") {
    Run run;
    run.skip();
    run.accumulate();
    run.trainer.update();
    Run next;
    next.trainer.set_loss_scale(run.trainer.loss_scale()->factor(), run.trainer.loss_scale()->good());
    CHECK(next.backend->state->scale == 16384);
    CHECK(next.trainer.loss_scale()->good() == 1);
    CHECK_CONTAINS(error_of(Status::invalid_argument, [&] { next.trainer.set_loss_scale(0, 0); }),
                   "found a loss scale of 0 for 0 updates, expected 1 to 16777216 for fewer than 2000");
    Network network(parse_cfg(cfg(), "net.cfg"), "", Run::options());
    Trainer exact(network);
    CHECK(exact.loss_scale() == nullptr);
    exact.set_loss_scale(1024, 3);
    CHECK(exact.loss_scale() == nullptr);
}

TEST_CASE("loss scale: a training that is set back begins with the gradients that it was given") {
    Run run;
    run.accumulate();
    run.trainer.update();
    const Floats before = run.all();
    run.accumulate();
    for (const Role role : kRolesOfLayer) {  // in the middle of an update
        const Floats one(1, 1.0f);
        run.trainer.set(StateKind::gradients, 0, role, one.data(), 1);
    }
    run.trainer.set_counters(1, 2);
    run.skip();
    for (const Role role : kRolesOfLayer)
        CHECK(values_of(*run.backend->state, StateKind::gradients, role) == Floats{1});
}
