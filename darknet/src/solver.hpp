// SPDX-License-Identifier: Apache-2.0
// From gradients to weights: learning-rate schedule, SGD with Darknet's momentum and decay, Adam, EMA.
#pragma once

#include <cstdint>
#include <memory>

#include "parameters.hpp"

namespace dn {

// The rate of the update that follows `iteration` updates already counted in (Darknet: the update of iteration k uses
// k). draw: uniform in [0, 1), for policy=random only.
float learning_rate(const NetParams& net, std::int64_t iteration, float draw = 0);

// What an update needs besides the parameters, all part of a checkpoint.
struct SolverState {
    std::vector<NodeParameters> gradients;  // accumulated negative gradients; after update() they carry momentum
    std::vector<NodeParameters> adam_m, adam_v;
    std::vector<NodeParameters> ema;
    std::int64_t iteration = 0;
};

// One zero for each trained value of the network; rolling statistics are not trained.
std::vector<NodeParameters> zeros_like(const Graph& graph);

class Solver {
public:
    Solver(std::shared_ptr<const Graph> graph, std::shared_ptr<Parameters> parameters);

    SolverState& state() { return state_; }
    const SolverState& state() const { return state_; }
    NodeParameters& gradients(int node) { return state_.gradients[node]; }
    float rate() const;  // at the current iteration: what the last update used
    void set_learning_rate(float base) { net_.learning_rate = base; }
    const NetParams& net() const { return net_; }

    // Counts the iteration, then moves every trainable parameter. `images` is batch, the images accumulated.
    void update(int images);
    bool trainable(int node) const;  // false for frozen layers
    int frozen_before() const { return frozen_before_; }

private:
    void update_array(const Node& node, Role role, float rate, float images);
    void adam_array(const Node& node, Role role, float rate, float images);
    void update_ema();

    std::shared_ptr<const Graph> graph_;
    std::shared_ptr<Parameters> parameters_;
    NetParams net_;
    SolverState state_;
    int statistics_before_ = 0;    // of layers in front of the last train_only_bn, and of itself, nothing else moves
    std::vector<int> held_until_;  // by node: the iteration up to which a stopbackward > 1 keeps it as it is
    int frozen_before_ = 0;        // layers in front of the last stopbackward=1 stay as they are, that layer included
};

}  // namespace dn
