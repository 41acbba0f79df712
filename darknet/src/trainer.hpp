// SPDX-License-Identifier: Apache-2.0
// One network in training: mini-batches are accumulated, then an update moves the weights. Loops, schedules of events
// and files are the caller's.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backends/rolling_shares.hpp"
#include "loss_scale.hpp"
#include "network.hpp"
#include "solver.hpp"

namespace dn {

class Trainer {
public:
    // Trains the network's parameters with its threads, and with its backend and precision unless others are given. The
    // network may be used for inference between the calls, its clones at any time. Throws Error(cfg) for a network that
    // cannot be trained, Error(invalid_argument) while another trainer trains the same parameters.
    // Variances that no file gave begin at 0, as in Darknet: then the rolling ones are right but for a factor that
    // grows to 1, where a 1 would outlast the small variances of many layers.
    explicit Trainer(const Network& network, const std::shared_ptr<const Backend>& backend = nullptr,
                     Precision precision = Precision::automatic);
    Trainer(const Trainer&) = delete;  // plans point into it
    Trainer& operator=(const Trainer&) = delete;

    // One mini-batch: images are planes (n, c, h, w) in 0..1. Forward, loss, backward; returns Darknet's cost, the mean
    // over the layers that own one. When it throws, counters and rolling statistics are as before; if it was as late as
    // in backward, gradients are not, and training cannot continue until set_counters() marks them as replaced.
    float accumulate(const float* images, int n, const float* truths, std::size_t truth_stride);
    // In front of an accumulate(): the images of the one after it, which stay as they are until then. A GPU receives
    // them while it computes.
    void announce(const float* images, int n) { announced_ = {images, n}; }
    // The same with images that the backend composes of tiles, which it has copied when this returns. Throws
    // Error(backend) for a backend that does not compose.
    float accumulate(const Tile* tiles, int count, int n, const float* truths, std::size_t truth_stride);
    // Moves the weights by what was accumulated since the last update; throws Error(invalid_argument) after nothing.
    // In float16, after an overflow nothing moves, rolling statistics are as before, and the next gradients are scaled
    // less; the iteration counts, but not as a step of Adam.
    void update();
    // Shares the mini-batches of every update with count - 1 other trainers that have the same state: this one computes
    // number, number + count, ... of them, all of the same size, and counts images as if the others had done theirs.
    // Momentum is number 0's alone. In front of every update the caller replaces the gradients by the sum of all
    // workers', and gives all shares to move_rolling(). Throws Error(invalid_argument) while images are pending.
    void set_worker(int number, int count);
    // Shares of this worker's mini-batches since the last update in the rolling statistics.
    const Floats& shares() const;
    // Those of all workers, worker after worker, `count` floats.
    void move_rolling(const float* all, std::size_t count);
    // With a backend that sums the gradients of all workers in its own memory, these take the place of the caller's
    // sums; see TrainState. Workers join once, after set_worker().
    std::string why_no_group() const { return state_.why_no_group(); }
    WorkerGroupId group_id() const { return state_.group_id(); }
    void join_group(const WorkerGroupId& id, double limit);
    void sum_gradients(double limit);
    // Another input size from the next mini-batch on (dynamic resize).
    void resize(int width, int height);

    // Output and delta of a layer in the last accumulate(), (n, outputs).
    void read(int layer, float* dst, std::size_t count) const;
    void read_delta(int layer, float* dst, std::size_t count) const;

    // The arrays that a bit-exact continuation needs, as TrainState has them; `count` values at src or dst, which must
    // be as many as the array has.
    std::size_t count(StateKind kind, int layer, Role role) const;
    void get(StateKind kind, int layer, Role role, float* dst, std::size_t count) const;
    void set(StateKind kind, int layer, Role role, const float* src, std::size_t count);
    // After they were set: where they were taken; of the iterations, `skipped` moved nothing. Nothing is pending then.
    void set_counters(std::int64_t iteration, std::uint64_t seen, std::int64_t skipped = 0);
    // Another part of the state, in float16; null: losses are not scaled, and set_loss_scale() does nothing.
    const LossScale* loss_scale() const { return loss_scale_ ? &*loss_scale_ : nullptr; }
    void set_loss_scale(float factor, int good);
    bool has_skipped() const { return skipped_; }  // the last update moved nothing

    const Graph& graph() const { return *graph_; }
    std::int64_t iteration() const { return iteration_; }      // updates done
    std::int64_t skipped() const { return skipped_updates_; }  // of these, in all sessions
    std::uint64_t seen() const { return parameters_->seen; }
    int pending() const { return images_; }                  // images accumulated since the last update
    float rate() const { return solver_.rate(iteration_); }  // what the last update used
    void set_learning_rate(float base) { solver_.set_learning_rate(base); }
    const std::vector<LossReport>& reports() const { return reports_; }  // by node, of the last accumulate()
    std::size_t activation_bytes() const { return plan_ ? plan_->activation_bytes() : 0; }
    // Names the first layer and array that holds NaN or Inf, gradients included; "" when all is finite, or when an
    // update would skip what is not.
    std::string first_non_finite() const { return overflows() ? "" : state_.first_non_finite(); }

private:
    void clear_initial_variances(const WeightsReport& loaded);
    Plan& plan(int n);
    PlanOptions options_of(int n) const;
    std::string what_fits(int n) const;
    void check_whole() const;
    void keep(std::uint64_t seen);
    void drop_momentum();
    bool overflows() const;
    float train(int n, const Truths& truths, const std::function<void(Plan&)>& fill_input);
    void run(Plan& compiled, const LossContext& context);
    void check_read(int layer, std::size_t count) const;
    void check_count(int layer, Role role, std::size_t expected, std::size_t count) const;

    std::shared_ptr<const Backend> backend_;
    NetworkOptions options_;
    std::shared_ptr<const Graph> graph_;
    std::shared_ptr<Parameters> parameters_;
    Solver solver_;
    ActiveTraining active_;
    TrainState& state_;
    Training training_;
    std::unique_ptr<Plan> plan_;
    int plan_images_ = 0;
    std::pair<const float*, int> announced_{nullptr, 0};
    std::vector<LossReport> reports_;
    std::int64_t iteration_ = 0;
    int images_ = 0;
    std::optional<LossScale> loss_scale_;
    bool skipped_ = false;
    std::int64_t skipped_updates_ = 0;
    std::unique_ptr<RollingShares> shares_;  // of several workers
    int worker_ = 0, workers_ = 1;
    bool rolling_moved_ = false;         // by the shares of all workers
    bool gradients_incomplete_ = false;  // a mini-batch failed in backward: the gradients hold a part of it
};

}  // namespace dn
