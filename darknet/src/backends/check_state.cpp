// SPDX-License-Identifier: Apache-2.0
#include "check_state.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "../error.hpp"
#include "layer_difference.hpp"

namespace dn {
namespace {

constexpr float kLeastShare = 0.1f;  // of the largest values, on whose scale smaller ones are compared

constexpr StateKind kKinds[] = {StateKind::parameters, StateKind::gradients, StateKind::adam_m, StateKind::adam_v,
                                StateKind::ema};

Floats values_of(const TrainState& state, StateKind kind, int node, Role role) {
    Floats values(state.count(kind, node, role));
    state.get(kind, node, role, values.data());
    return values;
}

float largest(const Floats& values) {
    float most = 0;
    for (float value : values) most = std::max(most, std::fabs(value));
    return most;
}

std::shared_ptr<Parameters> copy_of(const Parameters& parameters) {
    auto copy = std::make_shared<Parameters>();
    copy->nodes = parameters.nodes;
    copy->seen = parameters.seen;
    return copy;
}

}  // namespace

CheckTrainState::CheckTrainState(const Backend& first, const Backend& second, const Graph& graph,
                                 const std::shared_ptr<Parameters>& parameters, int threads, std::string names)
    : second_parameters_(copy_of(*parameters)),
      const_second_parameters_(second_parameters_),
      first_(first.train_state(graph, parameters, threads)),
      second_(second.train_state(graph, second_parameters_, threads)),
      graph_(graph),
      names_(std::move(names)) {}

void CheckTrainState::copy_to_second() {
    for (const Node& node : graph_.nodes)
        for (const Role role : kRoles)
            for (const StateKind kind : kKinds) {
                const Floats values = values_of(*first_, kind, node.index, role);
                if (!values.empty()) second_->set(kind, node.index, role, values.data());
            }
}

void CheckTrainState::begin_batch(std::uint64_t seen) {
    copy_to_second();
    first_->begin_batch(seen);
    second_->begin_batch(seen);
}

void CheckTrainState::begin_share(std::uint64_t seen) {
    copy_to_second();
    first_->begin_share(seen);
    second_->begin_share(seen);
}

void CheckTrainState::keep_batch() {
    first_->keep_batch();
    second_->keep_batch();
    compare_parameters("after the mini-batch", tolerance_);
}

void CheckTrainState::update(const UpdateRule& rule) {
    copy_to_second();
    first_->update(rule);
    second_->update(rule);
    compare_parameters("after the update", kToleranceF32);
}

// Gradients that cancel to nothing, as that of a bias in front of batch norm, are rounding of the others.
void CheckTrainState::compare_gradients() const {
    float most = kSmallestValue;
    for (const Node& node : graph_.nodes)
        for (const Role role : kTrainedRoles)
            most = std::max(most, kLeastShare * largest(values_of(*second_, StateKind::gradients, node.index, role)));
    for (auto node = graph_.nodes.rbegin(); node != graph_.nodes.rend(); ++node)
        for (const Role role : kTrainedRoles)
            compare(StateKind::gradients, *node, role, text("gradient of ", role_name(role)), tolerance_, most);
}

// So are means of zero, on the scale of the values that they are of.
void CheckTrainState::compare_parameters(const char* when, float tolerance) const {
    for (const Node& node : graph_.nodes)
        for (const Role role : kRoles) {
            float least = kSmallestValue;
            if (role == Role::means)
                least += kLeastShare *
                         std::sqrt(largest(values_of(*second_, StateKind::parameters, node.index, Role::variances)));
            compare(StateKind::parameters, node, role, text(role_name(role), " ", when), tolerance, least);
        }
}

void CheckTrainState::compare(StateKind kind, const Node& node, Role role, const std::string& what, float tolerance,
                              float least_scale) const {
    const Floats first = values_of(*first_, kind, node.index, role);
    const Floats second = values_of(*second_, kind, node.index, role);
    if (const auto found = difference_of(node.index, what, first, second, tolerance, least_scale))
        report_difference(graph_, names_, *found);
}

}  // namespace dn
