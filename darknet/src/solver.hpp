// SPDX-License-Identifier: Apache-2.0
// Which update an iteration makes: learning-rate schedule, decay, freezing, burn-in, when the moving average runs. The
// arrays, and the arithmetic on them, are the TrainState's.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "backends/train_state.hpp"

namespace dn {

// The rate of the update that follows `iteration` updates already counted in (Darknet: the update of iteration k uses
// k). draw: uniform in [0, 1), for policy=random only.
float learning_rate(const NetParams& net, std::int64_t iteration, float draw = 0);

class Solver {
public:
    explicit Solver(const Graph& graph);

    // The update that is number `iteration`, from 1. `step` is its number among those that moved something, which
    // Adam's corrections count; `images` is batch, the images accumulated.
    UpdateRule rule(std::int64_t iteration, std::int64_t step, int images) const;
    float rate(std::int64_t iteration) const { return learning_rate(net_, iteration); }
    void set_learning_rate(float base) { net_.learning_rate = base; }
    int frozen_before() const { return frozen_before_; }

private:
    // Factors that determine the update of an array of a node.
    struct TrainedArray {
        int node;
        Role role;
        float learning_rate, clip;
        bool decays, clamp_step, only_forward;
        int dont_update, burnin_update;
    };

    bool is_frozen(const TrainedArray& array, std::int64_t iteration) const;
    Ema ema(std::int64_t iteration) const;

    NetParams net_;
    std::vector<TrainedArray> arrays_;
    int statistics_before_ = 0;    // of layers in front of the last train_only_bn, and of itself, nothing else moves
    std::vector<int> held_until_;  // by node: the iteration up to which a stopbackward > 1 keeps it as it is
    int frozen_before_ = 0;        // layers in front of the last stopbackward=1 stay as they are, that layer included
};

}  // namespace dn
