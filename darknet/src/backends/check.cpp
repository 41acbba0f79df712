// SPDX-License-Identifier: Apache-2.0
#include "check.hpp"

#include <algorithm>
#include <cstring>

#include "../error.hpp"
#include "../random.hpp"
#include "check_state.hpp"
#include "layer_difference.hpp"

namespace dn {
namespace {

using BackendPtr = std::shared_ptr<const Backend>;

bool computes_in(const Backend& backend, Precision precision) {
    const std::vector<PrecisionChoice> known = backend.precisions();
    return std::any_of(known.begin(), known.end(),
                       [=](const PrecisionChoice& choice) { return choice.precision == precision; });
}

// One of the two may lack the precision; comparing with what it has is what a check is for.
PlanOptions possible(const Backend& backend, PlanOptions options) {
    if (!computes_in(backend, options.precision)) options.precision = Precision::automatic;
    return options;
}

std::string names_of(const Backend& first, const Backend& second) { return first.name() + " and " + second.name(); }

CheckTrainState& check_state(const Training& training) {
    if (auto* state = dynamic_cast<CheckTrainState*>(training.state)) return *state;
    throw Error(Status::internal, "", "a plan of a check was given the training state of another backend");
}

// Two plans of the same graph, their inputs and what they read.
class CheckPlan : public Plan {
public:
    CheckPlan(BackendPtr first, BackendPtr second, const Graph& graph, std::shared_ptr<const Parameters> parameters,
              const PlanOptions& options)
        : Plan(graph, options.batch),
          first_backend_(std::move(first)),
          second_backend_(std::move(second)),
          graph_(graph),
          parameters_(std::move(parameters)),
          options_(options) {
        if (options_.wanted.empty()) options_.wanted = graph.default_outputs();
        std::sort(options_.wanted.begin(), options_.wanted.end());
    }

    float* input() override { return first_->input(); }
    void read(int node, float* dst) const override { first_->read(node, dst); }
    Precision precision() const override { return first_->precision(); }
    std::size_t activation_bytes() const override { return first_->activation_bytes() + second_->activation_bytes(); }

    std::vector<LayerTime> profile() override {
        copy_input(*second_);
        std::vector<LayerTime> times = labelled(first_->profile(), first_backend_->name());
        const std::vector<LayerTime> others = labelled(second_->profile(), second_backend_->name());
        times.insert(times.end(), others.begin(), others.end());
        return times;
    }

protected:
    void copy_input(Plan& plan) const {
        std::memcpy(plan.input(), first_->input(), options_.batch * graph_.input.size() * sizeof(float));
    }

    float tolerance() const {
        const bool exact = first_->precision() == Precision::f32 && second_->precision() == Precision::f32;
        return exact ? kToleranceF32 : kToleranceBf16;
    }

    // The first of the nodes whose outputs differ.
    std::optional<LayerDifference> compare(const Plan& first, const Plan& second, const std::vector<int>& nodes) const {
        for (int node : nodes)
            if (auto found =
                    difference_of(node, "output", output_of(first, node), output_of(second, node), tolerance()))
                return found;
        return std::nullopt;
    }

    Floats output_of(const Plan& plan, int node) const {
        Floats output(options_.batch * graph_.nodes[node].out.size());
        plan.read(node, output.data());
        return output;
    }

    std::vector<int> all_nodes() const {
        std::vector<int> all;
        for (const Node& node : graph_.nodes) all.push_back(node.index);
        return all;
    }

    std::string names() const { return names_of(*first_backend_, *second_backend_); }

    BackendPtr first_backend_, second_backend_;
    const Graph& graph_;
    std::shared_ptr<const Parameters> parameters_;
    PlanOptions options_;
    std::unique_ptr<Plan> first_, second_;

private:
    static std::vector<LayerTime> labelled(std::vector<LayerTime> times, const std::string& name) {
        for (LayerTime& time : times) time.what = name + ":" + time.what;
        return times;
    }
};

class InferenceCheckPlan : public CheckPlan {
public:
    InferenceCheckPlan(BackendPtr first, BackendPtr second, const Graph& graph,
                       std::shared_ptr<const Parameters> parameters, const PlanOptions& options)
        : CheckPlan(std::move(first), std::move(second), graph, std::move(parameters), options) {
        first_ = compile(*first_backend_, options_);
        second_ = compile(*second_backend_, options_);
    }

    // Compares what was asked for, as compiled for that; only where it differs, every layer one by one.
    void forward() override {
        copy_input(*second_);
        first_->forward();
        second_->forward();
        const auto wanted = compare(*first_, *second_, options_.wanted);
        if (!wanted) return;
        if (const auto layer = first_differing_layer()) report_difference(graph_, names(), *layer);
        report_difference(graph_, names(), *wanted, "; with every layer kept they agree, so a fused step is to blame");
    }

    std::vector<double> errors_on_noise() const {
        const Pair plans = keep_every_layer();
        for (Plan* plan : {plans.first.get(), plans.second.get()})
            for (std::size_t k = 0; k < options_.batch * graph_.input.size(); ++k)
                plan->input()[k] = uniform(mix(1), k);
        plans.forward();
        std::vector<double> errors;
        for (const Node& node : graph_.nodes) {
            const Floats first = output_of(*plans.first, node.index), second = output_of(*plans.second, node.index);
            errors.push_back(largest_difference(node.index, "output", first, second).relative());
        }
        return errors;
    }

private:
    struct Pair {
        std::unique_ptr<Plan> first, second;
        void forward() const {
            first->forward();
            second->forward();
        }
    };

    std::unique_ptr<Plan> compile(const Backend& backend, const PlanOptions& options) const {
        return backend.compile(graph_, parameters_, possible(backend, options));
    }

    Pair keep_every_layer() const {
        PlanOptions every = options_;
        every.wanted = all_nodes();
        return {compile(*first_backend_, every), compile(*second_backend_, every)};
    }

    std::optional<LayerDifference> first_differing_layer() const {
        const Pair plans = keep_every_layer();
        copy_input(*plans.first);
        copy_input(*plans.second);
        plans.forward();
        return compare(*plans.first, *plans.second, all_nodes());
    }
};

class TrainingCheckPlan : public CheckPlan {
public:
    TrainingCheckPlan(BackendPtr first, BackendPtr second, const Graph& graph,
                      std::shared_ptr<const Parameters> parameters, const PlanOptions& options)
        : CheckPlan(std::move(first), std::move(second), graph, std::move(parameters), options),
          state_(check_state(*options.training)) {
        const int frozen_before = options.training->frozen_before;
        first_ = compile(*first_backend_, parameters_, {&state_.first(), frozen_before});
        second_ = compile(*second_backend_, state_.second_parameters(), {&state_.second(), frozen_before});
        options_.training = nullptr;  // the caller's, which may end before the plan
        state_.set_tolerance(tolerance());
    }

    void forward() override {
        copy_input(*second_);
        first_->forward();
        second_->forward();
        if (const auto found = compare(*first_, *second_, all_nodes())) report_difference(graph_, names(), *found);
    }

    // Compares what each loss reports, then the deltas that they begin with, then the gradients in the order in which
    // they are computed.
    void backward(const LossContext& context, std::vector<LossReport>& reports) override {
        std::vector<LossReport> others(reports.size());
        first_->backward(context, reports);
        second_->backward(context, others);
        for (const Node& node : graph_.nodes) {
            if (!owns_cost(node)) continue;
            check(node, "loss", {reports[node.index].cost}, {others[node.index].cost});
            check(node, "delta", delta_of(*first_, node), delta_of(*second_, node));
        }
        state_.compare_gradients();
    }

    void read_delta(int node, float* dst) const override { first_->read_delta(node, dst); }

private:
    std::unique_ptr<Plan> compile(const Backend& backend, const std::shared_ptr<const Parameters>& parameters,
                                  const Training& training) const {
        PlanOptions options = possible(backend, options_);
        options.training = &training;
        return backend.compile(graph_, parameters, options);
    }

    Floats delta_of(const Plan& plan, const Node& node) const {
        Floats delta(options_.batch * node.out.size());
        plan.read_delta(node.index, delta.data());
        return delta;
    }

    void check(const Node& node, const char* what, const Floats& first, const Floats& second) const {
        if (const auto found = difference_of(node.index, what, first, second, tolerance()))
            report_difference(graph_, names(), *found);
    }

    CheckTrainState& state_;
};

class CheckBackend : public Backend {
public:
    CheckBackend(BackendPtr first, BackendPtr second) : first_(std::move(first)), second_(std::move(second)) {}
    std::string name() const override { return "check:" + first_->name() + "," + second_->name(); }
    std::string device() const override { return first_->device(); }
    PrecisionChoice automatic() const override { return first_->automatic(); }

    std::vector<PrecisionChoice> precisions() const override {
        std::vector<PrecisionChoice> all = first_->precisions();
        for (const PrecisionChoice& choice : second_->precisions())
            if (!computes_in(*first_, choice.precision)) all.push_back(choice);
        return all;
    }

    std::unique_ptr<Plan> compile(const Graph& graph, const std::shared_ptr<const Parameters>& parameters,
                                  const PlanOptions& options) const override {
        if (options.training) return std::make_unique<TrainingCheckPlan>(first_, second_, graph, parameters, options);
        return std::make_unique<InferenceCheckPlan>(first_, second_, graph, parameters, options);
    }

    // The second one trains on parameters of its own.
    std::size_t plan_bytes(const Graph& graph, const PlanOptions& options) const override {
        std::size_t own = 0;
        for (const Node& node : graph.nodes) own += options.training ? node.parameter_count() * sizeof(float) : 0;
        return first_->plan_bytes(graph, possible(*first_, options)) +
               second_->plan_bytes(graph, possible(*second_, options)) + own;
    }
    std::size_t most_scratch_bytes(const Graph& graph) const override {
        return first_->most_scratch_bytes(graph) + second_->most_scratch_bytes(graph);
    }
    std::size_t free_bytes() const override { return std::min(first_->free_bytes(), second_->free_bytes()); }

    std::shared_ptr<TrainState> train_state(const Graph& graph, const std::shared_ptr<Parameters>& parameters,
                                            int threads) const override {
        return std::make_shared<CheckTrainState>(*first_, *second_, graph, parameters, threads,
                                                 names_of(*first_, *second_));
    }

private:
    BackendPtr first_, second_;
};

}  // namespace

std::unique_ptr<Backend> make_check_backend(std::unique_ptr<Backend> first, std::unique_ptr<Backend> second) {
    return std::make_unique<CheckBackend>(std::move(first), std::move(second));
}

std::vector<double> layer_errors(const Plan& plan) {
    if (const auto* check = dynamic_cast<const InferenceCheckPlan*>(&plan)) return check->errors_on_noise();
    throw Error(Status::backend, "", "errors of layers are those between two backends, expected a backend check:A,B");
}

}  // namespace dn
