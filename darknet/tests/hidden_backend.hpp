// SPDX-License-Identifier: Apache-2.0
// A backend that trains in memory of its own, as one on another device does: outside of its plans and updates its
// values lie there with their bytes reversed, only copies leave it, and the host's parameters are NaN whenever its own
// are newer. Code that reads or writes the memory of the host instead of the TrainState computes NaN.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <mutex>

#include "backends/host/train_state.hpp"
#include "wrapped.hpp"

namespace dn::test {

class HiddenState : public TrainState {
public:
    HiddenState(const Graph& graph, std::shared_ptr<Parameters> host, int threads)
        : host_(std::move(host)), own_(copy(*host_)), state_(graph, own_, threads) {
        reverse();
        hide_weights();
        hide_statistics();
    }

    // Calls work() with the values as numbers.
    template <class Work>
    auto computing(const Work& work) const {
        const std::lock_guard<std::mutex> idle(busy_);
        struct Numbers {
            explicit Numbers(const HiddenState& hidden) : state(hidden) { state.reverse(); }
            ~Numbers() { state.reverse(); }
            const HiddenState& state;
        } numbers(*this);
        return work();
    }

    std::size_t count(StateKind kind, int node, Role role) const override { return state_.count(kind, node, role); }
    void get(StateKind kind, int node, Role role, float* dst) const override {
        const std::lock_guard<std::mutex> idle(busy_);
        state_.get(kind, node, role, dst);
        reverse(dst, count(kind, node, role));
    }
    void set(StateKind kind, int node, Role role, const float* src) override {
        // A moving average begins with zeros in all other arrays, whose bytes have no order.
        Floats values(src, src + count(kind == StateKind::ema ? StateKind::gradients : kind, node, role));
        reverse(values.data(), values.size());
        const std::lock_guard<std::mutex> idle(busy_);
        state_.set(kind, node, role, values.data());
        if (kind == StateKind::parameters) {
            hide_weights();
            hide_statistics();
        }
    }
    void update(const UpdateRule& rule) override {
        computing([&] { state_.update(rule); });
        hide_weights();
    }
    void begin_batch(std::uint64_t seen) override {
        computing([&] { state_.begin_batch(seen); });
    }
    void keep_batch() override {
        computing([&] { state_.keep_batch(); });
        host_->seen = own_->seen;
        hide_statistics();
    }
    void begin_share(std::uint64_t seen) override {
        computing([&] { state_.begin_share(seen); });
    }
    void get_share(int node, Role role, float* dst) const override {
        computing([&] { state_.get_share(node, role, dst); });
    }
    std::string first_non_finite() const override {
        return computing([&] { return state_.first_non_finite(); });
    }

    // What its plans compute on, while computing() runs.
    const std::shared_ptr<Parameters>& own() const { return own_; }
    HostTrainState& state() { return state_; }

private:
    static std::shared_ptr<Parameters> copy(const Parameters& host) {
        auto own = std::make_shared<Parameters>();
        own->nodes = host.nodes;
        own->seen = host.seen;
        return own;
    }

    static void reverse(float* values, std::size_t count) {
        auto* bytes = reinterpret_cast<unsigned char*>(values);
        for (std::size_t i = 0; i < count; ++i) std::reverse(bytes + 4 * i, bytes + 4 * i + 4);
    }

    void reverse() const {
        for (int node = 0; node < static_cast<int>(own_->nodes.size()); ++node)
            for (const StateKind kind :
                 {StateKind::parameters, StateKind::gradients, StateKind::adam_m, StateKind::adam_v, StateKind::ema})
                for (const Role role : kRoles) {
                    Floats values(state_.count(kind, node, role));
                    if (values.empty()) continue;
                    state_.get(kind, node, role, values.data());
                    reverse(values.data(), values.size());
                    state_.set(kind, node, role, values.data());
                }
    }

    void hide(std::initializer_list<Role> roles) {
        for (NodeParameters& node : host_->nodes)
            for (const Role role : roles)
                std::fill(node.array(role).begin(), node.array(role).end(), std::numeric_limits<float>::quiet_NaN());
    }
    // The next reader copies what has a new version, and only that.
    void hide_weights() {
        ++host_->weights_version;
        hide({Role::biases, Role::scales, Role::weights});
    }
    void hide_statistics() {
        ++host_->statistics_version;
        hide({Role::means, Role::variances});
    }

    std::shared_ptr<Parameters> host_, own_;
    mutable HostTrainState state_;
    mutable std::mutex busy_;  // what reads waits for what computes
};

class HiddenPlan : public Plan {
public:
    HiddenPlan(const Backend& backend, const Graph& graph, PlanOptions options)
        : Plan(graph, options.batch), state_(dynamic_cast<HiddenState&>(*options.training->state)) {
        const Training own{&state_.state(), options.training->frozen_before};
        options.training = &own;
        plan_ = state_.computing([&] { return backend.compile(graph, state_.own(), options); });
    }
    float* input() override { return plan_->input(); }
    void forward() override {
        state_.computing([&] { plan_->forward(); });
    }
    void backward(const LossContext& context, std::vector<LossReport>& reports) override {
        state_.computing([&] { plan_->backward(context, reports); });
    }
    void read(int node, float* dst) const override { plan_->read(node, dst); }
    void read_delta(int node, float* dst) const override { plan_->read_delta(node, dst); }
    Precision precision() const override { return plan_->precision(); }
    std::size_t activation_bytes() const override { return plan_->activation_bytes(); }
    std::vector<LayerTime> profile() override {
        return state_.computing([&] { return plan_->profile(); });
    }

private:
    HiddenState& state_;
    std::unique_ptr<Plan> plan_;
};

// Computes as ref does. Its plans for inference read the parameters of the host, which are current when they run.
class HiddenBackend : public WrappedBackend {
public:
    std::string name() const override { return "hidden"; }
    std::unique_ptr<Plan> compile(const Graph& graph, const std::shared_ptr<const Parameters>& parameters,
                                  const PlanOptions& options) const override {
        if (options.training) return std::make_unique<HiddenPlan>(wrapped(), graph, options);
        return WrappedBackend::compile(graph, parameters, options);
    }
    std::shared_ptr<TrainState> train_state(const Graph& graph, const std::shared_ptr<Parameters>& parameters,
                                            int threads) const override {
        return std::make_shared<HiddenState>(graph, parameters, threads);
    }
};

// Calls test(backend) for every backend of this build, and for the hidden one.
template <class Test>
void on_every_backend(const Test& test) {
    std::vector<std::shared_ptr<const Backend>> all;
    for (const std::string& name : backend_names()) all.push_back(make_backend(name));
    all.push_back(std::make_shared<HiddenBackend>());
    for (const std::shared_ptr<const Backend>& backend : all) {
        CAPTURE(backend->name());
        test(backend);
    }
}

}  // namespace dn::test
