// SPDX-License-Identifier: Apache-2.0
#include "check.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "../error.hpp"
#include "../layers/layer.hpp"

namespace dn {
namespace {

constexpr float kToleranceF32 = 1e-3f;   // deep networks add up what different orders of summation round
constexpr float kToleranceBf16 = 0.1f;   // 8 bits of mantissa, through as many layers
constexpr float kSmallestValue = 1e-6f;  // layers of zeros differ by less than this times the tolerance

struct LayerDifference {
    int node = -1;  // -1: none
    std::size_t at = 0;
    float first = 0, second = 0, largest_value = 0;
};

using BackendPtr = std::shared_ptr<const Backend>;

bool computes_in(const Backend& backend, Precision precision) {
    const std::vector<PrecisionChoice> known = backend.precisions();
    return std::any_of(known.begin(), known.end(),
                       [=](const PrecisionChoice& choice) { return choice.precision == precision; });
}

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
        first_ = compile(*first_backend_, options_);
        second_ = compile(*second_backend_, options_);
    }

    float* input() override { return first_->input(); }

    // Compares what was asked for, as compiled for that; only where it differs, every layer one by one.
    void forward() override {
        run(*first_, *second_);
        const LayerDifference difference = compare(*first_, *second_, options_.wanted);
        if (difference.node >= 0) report(difference, first_differing_layer());
    }

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

private:
    std::unique_ptr<Plan> compile(const Backend& backend, PlanOptions options) const {
        // One of the two may lack the precision; comparing with what it has is what a check is for.
        if (!computes_in(backend, options.precision)) options.precision = Precision::automatic;
        return backend.compile(graph_, parameters_, options);
    }

    void copy_input(Plan& plan) const {
        std::memcpy(plan.input(), first_->input(), options_.batch * graph_.input.size() * sizeof(float));
    }

    void run(Plan& first, Plan& second) const {
        if (&first != first_.get()) copy_input(first);
        copy_input(second);
        first.forward();
        second.forward();
    }

    LayerDifference first_differing_layer() const {
        PlanOptions every = options_;
        every.wanted.clear();
        for (const Node& node : graph_.nodes) every.wanted.push_back(node.index);
        const std::unique_ptr<Plan> first = compile(*first_backend_, every), second = compile(*second_backend_, every);
        run(*first, *second);
        return compare(*first, *second, every.wanted);
    }

    LayerDifference compare(const Plan& first, const Plan& second, const std::vector<int>& nodes) const {
        const bool exact = first.precision() == Precision::f32 && second.precision() == Precision::f32;
        for (int node : nodes) {
            const LayerDifference difference = compare_node(first, second, node);
            const float scale = std::max(difference.largest_value, kSmallestValue);
            const float found = std::fabs(difference.first - difference.second);
            // Written so that NaN on one side counts as a difference.
            if (!(found <= (exact ? kToleranceF32 : kToleranceBf16) * scale)) return difference;
        }
        return {};
    }

    // Where the two are farthest apart; equal values, NaN included, are no difference.
    LayerDifference compare_node(const Plan& first, const Plan& second, int node) const {
        Floats a(options_.batch * graph_.nodes[node].out.size()), b(a.size());
        first.read(node, a.data());
        second.read(node, b.data());
        LayerDifference worst{node};
        for (std::size_t k = 0; k < a.size(); ++k) {
            worst.largest_value = std::max(worst.largest_value, std::fabs(b[k]));
            if (a[k] == b[k] || (std::isnan(a[k]) && std::isnan(b[k]))) continue;
            if (std::fabs(a[k] - b[k]) <= std::fabs(worst.first - worst.second)) continue;
            worst.at = k;
            worst.first = a[k];
            worst.second = b[k];
            if (std::isnan(a[k] - b[k])) break;
        }
        return worst;
    }

    [[noreturn]] void report(const LayerDifference& wanted, const LayerDifference& layer) const {
        // When each layer agrees on its own, what differs is a step that computes several at once.
        const LayerDifference& shown = layer.node >= 0 ? layer : wanted;
        const Node& node = graph_.nodes[shown.node];
        throw Error(Status::backend, node.where,
                    text("backends ", first_backend_->name(), " and ", second_backend_->name(),
                         " differ first at layer ", node.index, " (", layer_def(node.kind).name, "): found ",
                         shown.first, " and ", shown.second, " at index ", shown.at, ", a difference of ",
                         std::fabs(shown.first - shown.second), " where the largest value is ", shown.largest_value,
                         layer.node >= 0 ? "" : "; with every layer kept they agree, so a fused step is to blame"));
    }

    static std::vector<LayerTime> labelled(std::vector<LayerTime> times, const std::string& name) {
        for (LayerTime& time : times) time.what = name + ":" + time.what;
        return times;
    }

    BackendPtr first_backend_, second_backend_;
    const Graph& graph_;
    std::shared_ptr<const Parameters> parameters_;
    PlanOptions options_;
    std::unique_ptr<Plan> first_, second_;
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
        if (options.training) refuse_training();
        return std::make_unique<CheckPlan>(first_, second_, graph, parameters, options);
    }

    std::shared_ptr<TrainState> train_state(const Graph&, const std::shared_ptr<Parameters>&, int) const override {
        refuse_training();
    }

private:
    [[noreturn]] void refuse_training() const {
        throw Error(Status::backend, "",
                    text("backend \"", name(), "\" compares inference and cannot train; use \"", first_->name(),
                         "\" or \"", second_->name(), "\""));
    }

    BackendPtr first_, second_;
};

}  // namespace

std::unique_ptr<Backend> make_check_backend(std::unique_ptr<Backend> first, std::unique_ptr<Backend> second) {
    return std::make_unique<CheckBackend>(std::move(first), std::move(second));
}

}  // namespace dn
