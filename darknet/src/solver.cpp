// SPDX-License-Identifier: Apache-2.0
#include "solver.hpp"

#include <algorithm>
#include <cmath>

#include "layers/layer.hpp"

namespace dn {
namespace {

double steps_factor(const NetParams& net, std::int64_t iteration) {
    double factor = 1;
    for (std::size_t i = 0; i < net.steps.size() && net.steps[i] <= iteration; ++i) factor *= net.scales[i];
    return factor;
}

double sgdr(const NetParams& net, std::int64_t iteration) {
    constexpr double kPi = 3.14159265;
    const double now = static_cast<double>(iteration);
    double start = 0, cycle = net.sgdr_cycle;
    if (cycle > 0 && net.sgdr_mult == 1 && now > cycle) start = cycle * (std::ceil(now / cycle) - 1);
    while (cycle > 0 && net.sgdr_mult > 1 && start + cycle < now) {
        start += cycle;
        cycle *= net.sgdr_mult;
    }
    const double phase = cycle > 0 ? (now - start) / cycle : 0;
    const double low = net.learning_rate_min;
    return low + 0.5 * (net.learning_rate - low) * (1 + std::cos(kPi * phase));
}

// Makes the average of a moment that began at 0 one of the gradients of `step` updates.
float adam_correction(float beta, std::int64_t step) {
    return static_cast<float>(1 / (1 - std::pow(static_cast<double>(beta), static_cast<double>(step))));
}

}  // namespace

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

Solver::Solver(const Graph& graph) : net_(graph.net) {
    for (const Node& node : graph.nodes)
        for (const Role role : kTrainedRoles)
            for (const ArraySpec& spec : node.arrays)
                if (spec.role == role) {
                    const bool weights = role == Role::weights, clamp_step = layer_def(node.kind).clamp_step;
                    arrays_.push_back({node.index, role, node.learning_rate, weights ? node.clip : 0,
                                       net_.adam || (weights && !clamp_step), clamp_step, node.only_forward,
                                       node.dont_update, node.burnin_update});
                }
    held_until_.resize(graph.nodes.size());
    int until = 0;
    for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
        if (node->stop_backward == 1) frozen_before_ = std::max(frozen_before_, node->index + 1);
        if (node->train_only_bn) statistics_before_ = std::max(statistics_before_, node->index + 1);
        until = std::max(until, node->stop_backward);
        held_until_[node->index] = until;
    }
}

bool Solver::is_frozen(const TrainedArray& array, std::int64_t iteration) const {
    if (array.node < frozen_before_ || array.node < statistics_before_ || array.only_forward) return true;
    if (held_until_[array.node] > 1 && iteration <= held_until_[array.node]) return true;
    if (array.dont_update > 0 && iteration <= array.dont_update) return true;
    return array.burnin_update > 0 && iteration < static_cast<std::int64_t>(array.burnin_update) * net_.burn_in;
}

// From half of the run on it follows the parameters; a thousand iterations before the end, they become it.
Ema Solver::ema(std::int64_t iteration) const {
    if (net_.ema_alpha == 0 || iteration < net_.max_batches / 2) return Ema::off;
    const std::int64_t last = std::int64_t{net_.max_batches} - 1000;
    return iteration < last ? Ema::blend : iteration == last ? Ema::adopt : Ema::start;
}

// Darknet decays weights, and with Adam every array.
UpdateRule Solver::rule(std::int64_t iteration, std::int64_t step, int images) const {
    UpdateRule rule{net_.adam,
                    net_.momentum,
                    net_.adam_b1,
                    net_.adam_b2,
                    net_.adam_eps,
                    ema(iteration),
                    net_.ema_alpha,
                    adam_correction(net_.adam_b1, step),
                    adam_correction(net_.adam_b2, step),
                    images,
                    {}};
    const float base = rate(iteration), decay = net_.decay * static_cast<float>(images);
    rule.spans.reserve(arrays_.size());
    for (const TrainedArray& array : arrays_)
        rule.spans.push_back({array.node, array.role, base * array.learning_rate, array.decays ? decay : 0, array.clip,
                              array.clamp_step && !net_.adam, is_frozen(array, iteration)});
    return rule;
}

}  // namespace dn
