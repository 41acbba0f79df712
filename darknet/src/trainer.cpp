// SPDX-License-Identifier: Apache-2.0
#include "trainer.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "error.hpp"

namespace dn {
namespace {

constexpr Role kAllRoles[] = {Role::biases, Role::scales, Role::means, Role::variances, Role::weights};

bool all_finite(const Floats& values) {
    return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

// What a forward pass moves besides activations, put back unless the mini-batch is kept.
class RollbackGuard {
public:
    explicit RollbackGuard(Parameters& parameters) : parameters_(parameters), seen_(parameters.seen) {
        for (const NodeParameters& node : parameters.nodes) rolling_.emplace_back(node.means, node.variances);
    }
    ~RollbackGuard() {
        if (kept_) return;
        parameters_.seen = seen_;
        for (std::size_t i = 0; i < rolling_.size(); ++i) {
            const auto& [means, variances] = rolling_[i];  // copied: callers may look at these arrays
            std::copy(means.begin(), means.end(), parameters_.nodes[i].means.begin());
            std::copy(variances.begin(), variances.end(), parameters_.nodes[i].variances.begin());
        }
    }
    RollbackGuard(const RollbackGuard&) = delete;
    RollbackGuard& operator=(const RollbackGuard&) = delete;

    void keep() { kept_ = true; }

private:
    Parameters& parameters_;
    const std::uint64_t seen_;
    std::vector<std::pair<Floats, Floats>> rolling_;  // means and variances by node
    bool kept_ = false;
};

// Whether no training has touched the rolling statistics.
bool is_initial(const NodeParameters& node) {
    const auto all = [](const Floats& values, float value) {
        return std::all_of(values.begin(), values.end(), [=](float v) { return v == value; });
    };
    return all(node.means, 0) && all(node.variances, 1);
}

}  // namespace

Trainer::Trainer(const Network& network, std::shared_ptr<const Backend> backend)
    : backend_(backend ? std::move(backend) : network.shared_backend()),
      options_(network.options()),
      graph_(network.shared_graph()),
      parameters_(network.shared_parameters()),
      solver_(graph_, parameters_),
      training_{parameters_.get(), &solver_.state().gradients, solver_.frozen_before()},
      reports_(graph_->nodes.size()) {
    if (std::none_of(graph_->nodes.begin(), graph_->nodes.end(), owns_cost))
        throw Error(Status::cfg, graph_->file,
                    "cannot be trained: no layer has a loss; expected a head, softmax or cost");
    std::for_each(graph_->nodes.begin(), graph_->nodes.end(), check_trainable);
    for (const Node& node : graph_->nodes) {
        const bool loaded = node.index < network.weights_report().layers_loaded && !node.dont_load;
        NodeParameters& own = parameters_->nodes[node.index];
        if (node.index >= solver_.frozen_before() && !loaded && is_initial(own))
            std::fill(own.variances.begin(), own.variances.end(), 0.0f);
    }
    ++parameters_->version;
    const std::uint64_t batch = static_cast<std::uint64_t>(graph_->net.batch);
    solver_.state().iteration = static_cast<std::int64_t>(parameters_->seen / std::max<std::uint64_t>(1, batch));
}

void Trainer::set_counters(std::int64_t iteration, std::uint64_t seen) {
    if (iteration < 0)
        throw Error(Status::invalid_argument, "", text("found iteration ", iteration, ", expected 0 or more"));
    solver_.state().iteration = iteration;
    parameters_->seen = seen;
    images_ = 0;
    gradients_incomplete_ = false;
}

void Trainer::check_whole() const {
    if (gradients_incomplete_)
        throw Error(Status::invalid_argument, "",
                    "a mini-batch failed half-way and its gradients are incomplete; load a saved state to go on");
}

Plan& Trainer::plan(int n) {
    if (!plan_ || plan_images_ != n) {
        plan_.reset();  // two plans at once would double the peak of memory
        PlanOptions options;
        options.batch = n;
        options.threads = options_.threads;
        options.precision = options_.precision;
        options.training = &training_;
        plan_ = backend_->compile(*graph_, parameters_, options);
        plan_images_ = n;
    }
    return *plan_;
}

float Trainer::accumulate(const float* images, int n, const float* truths, std::size_t truth_stride) {
    check_whole();
    if (n < 1) throw Error(Status::invalid_argument, "", text("found ", n, " images, expected 1 or more"));
    const Truths wanted{truths, n, truth_stride};
    for (const Node& node : graph_->nodes) check_truths(node, wanted);
    Plan& compiled = plan(n);
    std::memcpy(compiled.input(), images, n * graph_->input.size() * sizeof(float));
    run(compiled, {wanted, graph_->input, parameters_->seen + n});

    float cost = 0;
    int owners = 0;
    for (const Node& node : graph_->nodes)
        if (owns_cost(node)) {
            cost += reports_[node.index].cost;
            ++owners;
        }
    return cost / static_cast<float>(owners);
}

void Trainer::run(Plan& compiled, const LossContext& context) {
    RollbackGuard guard(*parameters_);
    parameters_->seen = context.seen;
    ++parameters_->version;
    compiled.forward();
    gradients_incomplete_ = true;
    std::fill(reports_.begin(), reports_.end(), LossReport{});
    compiled.backward(context, reports_);
    gradients_incomplete_ = false;
    images_ += context.truths.n;
    guard.keep();
}

void Trainer::update() {
    check_whole();
    if (images_ == 0) throw Error(Status::invalid_argument, "", "nothing was accumulated since the last update");
    solver_.update(images_);
    ++parameters_->version;
    images_ = 0;
}

void Trainer::resize(int width, int height) {
    if (width == graph_->input.w && height == graph_->input.h) return;
    auto resized = std::make_shared<Graph>(*graph_);
    resize_graph(*resized, width, height);
    plan_.reset();
    graph_ = std::move(resized);
}

void Trainer::check_read(int layer, std::size_t count) const {
    if (!plan_) throw Error(Status::invalid_argument, graph_->file, "nothing was accumulated yet");
    if (layer < 0 || layer >= static_cast<int>(graph_->nodes.size()))
        throw Error(Status::invalid_argument, graph_->file,
                    text("has no layer ", layer, "; expected 0 to ", graph_->nodes.size() - 1));
    const std::size_t expected = plan_images_ * graph_->nodes[layer].out.size();
    if (count != expected)
        throw Error(Status::invalid_argument, graph_->nodes[layer].where,
                    text("has ", expected, " values, the buffer ", count));
}

void Trainer::read(int layer, float* dst, std::size_t count) const {
    check_read(layer, count);
    plan_->read(layer, dst);
}

void Trainer::read_delta(int layer, float* dst, std::size_t count) const {
    check_read(layer, count);
    plan_->read_delta(layer, dst);
}

std::string Trainer::first_non_finite() const {
    for (const Node& node : graph_->nodes)
        for (Role role : kAllRoles) {
            const char* name = role_name(role);
            if (!all_finite(solver_.state().gradients[node.index].array(role)))
                return text(node.where, ": its gradient of ", name, " is not finite (layer ", node.index, ")");
            if (!all_finite(parameters_->nodes[node.index].array(role)))
                return text(node.where, ": its ", name, " are not finite (layer ", node.index, ")");
        }
    return "";
}

}  // namespace dn
