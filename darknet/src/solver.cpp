// SPDX-License-Identifier: Apache-2.0
#include "solver.hpp"

#include <algorithm>
#include <cmath>

#include "error.hpp"
#include "layers/layer.hpp"

namespace dn {
namespace {

constexpr Role kTrained[] = {Role::biases, Role::scales, Role::weights};

double steps_factor(const NetParams& net, std::int64_t iteration) {
    double factor = 1;
    for (std::size_t i = 0; i < net.steps.size() && net.steps[i] <= iteration; ++i) factor *= net.scales[i];
    return factor;
}

double sgdr(const NetParams& net, std::int64_t iteration) {
    constexpr double kPi = 3.14159265;
    double start = 0, cycle = net.sgdr_cycle;
    while (cycle > 0 && net.sgdr_mult >= 1 && start + cycle < static_cast<double>(iteration)) {
        start += cycle;
        cycle *= net.sgdr_mult;
    }
    const double phase = cycle > 0 ? (static_cast<double>(iteration) - start) / cycle : 0;
    const double low = net.learning_rate_min;
    return low + 0.5 * (net.learning_rate - low) * (1 + std::cos(kPi * phase));
}

}  // namespace

std::vector<NodeParameters> zeros_like(const Graph& graph) {
    std::vector<NodeParameters> out(graph.nodes.size());
    for (const Node& node : graph.nodes)
        for (const ArraySpec& spec : node.arrays)
            if (spec.role != Role::means && spec.role != Role::variances)
                out[node.index].array(spec.role).assign(spec.count, 0.f);
    return out;
}

float learning_rate(const NetParams& net, std::int64_t iteration, float draw) {
    const double lr = net.learning_rate, n = static_cast<double>(iteration);
    if (iteration < net.burn_in) return static_cast<float>(lr * std::pow(n / net.burn_in, net.power));
    const std::string& policy = net.policy;
    double rate = lr;
    if (policy == "step") rate = lr * std::pow(net.scale, static_cast<double>(iteration / std::max(1, net.step)));
    if (policy == "steps") rate = lr * steps_factor(net, iteration);
    if (policy == "exp") rate = lr * std::pow(net.gamma, n);
    if (policy == "poly")
        rate = lr * std::pow(1 - static_cast<float>(iteration) / static_cast<float>(std::max(1, net.max_batches)),
                             net.power);
    if (policy == "random") rate = lr * std::pow(draw, net.power);
    if (policy == "sigmoid") rate = lr / (1 + std::exp(net.gamma * (n - net.step)));
    if (policy == "sgdr") rate = sgdr(net, iteration);
    return static_cast<float>(rate);
}

Solver::Solver(std::shared_ptr<const Graph> graph, std::shared_ptr<Parameters> parameters)
    : graph_(std::move(graph)), parameters_(std::move(parameters)), net_(graph_->net) {
    state_.gradients = zeros_like(*graph_);
    if (net_.adam) {
        state_.adam_m = zeros_like(*graph_);
        state_.adam_v = zeros_like(*graph_);
    }
    held_until_.resize(graph_->nodes.size());
    int until = 0;
    for (auto node = graph_->nodes.rbegin(); node != graph_->nodes.rend(); ++node) {
        if (node->stop_backward == 1) frozen_before_ = std::max(frozen_before_, node->index + 1);
        if (node->train_only_bn) statistics_before_ = std::max(statistics_before_, node->index + 1);
        until = std::max(until, node->stop_backward);
        held_until_[node->index] = until;
    }
}

float Solver::rate() const { return learning_rate(net_, state_.iteration); }

bool Solver::trainable(int index) const {
    const Node& node = graph_->nodes[index];
    if (index < frozen_before_ || index < statistics_before_ || node.only_forward) return false;
    if (held_until_[index] > 1 && state_.iteration <= held_until_[index]) return false;
    if (node.dont_update > 0 && state_.iteration <= node.dont_update) return false;
    return node.burnin_update <= 0 || state_.iteration >= static_cast<std::int64_t>(node.burnin_update) * net_.burn_in;
}

void Solver::update(int images) {
    ++state_.iteration;
    const float rate = learning_rate(net_, state_.iteration);
    for (const Node& node : graph_->nodes) {
        if (node.arrays.empty()) continue;
        if (!trainable(node.index)) {  // what a frozen layer gathered is dropped, not kept for later
            for (Role role : kTrained) {
                Floats& g = state_.gradients[node.index].array(role);
                std::fill(g.begin(), g.end(), 0.f);
            }
            continue;
        }
        for (Role role : kTrained) {
            if (state_.gradients[node.index].array(role).empty()) continue;
            net_.adam ? adam_array(node, role, rate * node.learning_rate, static_cast<float>(images))
                      : update_array(node, role, rate * node.learning_rate, static_cast<float>(images));
        }
    }
    update_ema();
}

// g <- g - decay*N*w (weights only); w <- w + rate/N * g; g <- momentum * g.
void Solver::update_array(const Node& node, Role role, float rate, float images) {
    Floats& g = state_.gradients[node.index].array(role);
    Floats& w = parameters_->nodes[node.index].array(role);
    const bool clamp_step = layer_def(node.kind).clamp_step;
    const float decay = role == Role::weights && !clamp_step ? net_.decay * images : 0;
    const float step = rate / images;
    for (std::size_t i = 0; i < w.size(); ++i) {
        float d = g[i] - decay * w[i];
        if (clamp_step) d = std::clamp(d, -1.f, 1.f);
        w[i] += step * d;
        g[i] = net_.momentum * d;
    }
    if (node.clip > 0 && role == Role::weights)
        for (float& value : w) value = std::clamp(value, -node.clip, node.clip);
}

// Darknet's Adam works on the batch's sum and decays all three arrays.
void Solver::adam_array(const Node& node, Role role, float rate, float images) {
    Floats& g = state_.gradients[node.index].array(role);
    Floats& w = parameters_->nodes[node.index].array(role);
    Floats& m = state_.adam_m[node.index].array(role);
    Floats& v = state_.adam_v[node.index].array(role);
    const double t = static_cast<double>(state_.iteration);
    const auto m_scale = static_cast<float>(1 / (1 - std::pow(static_cast<double>(net_.adam_b1), t)));
    const auto v_scale = static_cast<float>(1 / (1 - std::pow(static_cast<double>(net_.adam_b2), t)));
    for (std::size_t i = 0; i < w.size(); ++i) {
        const float d = g[i] - net_.decay * images * w[i];
        m[i] = net_.adam_b1 * m[i] + (1 - net_.adam_b1) * d;
        v[i] = net_.adam_b2 * v[i] + (1 - net_.adam_b2) * d * d;
        w[i] += rate * m[i] * m_scale / (std::sqrt(v[i] * v_scale) + net_.adam_eps);
        g[i] = 0;
    }
    if (node.clip > 0 && role == Role::weights)
        for (float& value : w) value = std::clamp(value, -node.clip, node.clip);
}

// From half of the run on: e <- a*e + (1-a)*p; a thousand iterations before the end, p <- e.
void Solver::update_ema() {
    if (net_.ema_alpha == 0 || state_.iteration < net_.max_batches / 2) return;
    const std::int64_t last = net_.max_batches - 1000;
    const bool begin = state_.ema.empty();
    if (begin) state_.ema = zeros_like(*graph_);
    for (const Node& node : graph_->nodes) {
        for (Role role : kTrained) {
            Floats& e = state_.ema[node.index].array(role);
            if (e.empty()) continue;
            Floats& p = parameters_->nodes[node.index].array(role);
            const float alpha = begin ? 0 : net_.ema_alpha;
            if (begin || state_.iteration < last)
                for (std::size_t i = 0; i < p.size(); ++i) e[i] = alpha * e[i] + (1 - alpha) * p[i];
            else if (state_.iteration == last)
                p = e;
        }
    }
}

}  // namespace dn
