// SPDX-License-Identifier: Apache-2.0
// The numbers of a training, where the backend keeps them, and what one update does to them.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <shared_mutex>
#include <string>
#include <vector>

#include "../parameters.hpp"

namespace dn {

// parameters: what a weights file holds. gradients: accumulated negative gradients, which after an update carry the
// momentum. Adam's first and second moments. ema: the moving average of the parameters.
enum class StateKind { parameters, gradients, adam_m, adam_v, ema };

// Effect of an update on the moving average, which begins as a copy of the parameters if there is none yet: let it
// be, move it towards the parameters, make it the parameters.
enum class Ema { off, start, blend, adopt };

// One array's part in an update.
struct UpdateSpan {
    int node;
    Role role;
    float rate;       // of the schedule, times the layer's own factor
    float decay;      // times images
    float clip;       // the largest absolute value afterwards; 0: no limit
    bool clamp_step;  // gradients are limited to -1..1
    bool frozen;      // nothing moves, and what was accumulated is dropped
};

// The update of one iteration, as the Solver computes it from schedule and cfg: no arrays, no device.
struct UpdateRule {
    bool adam;
    float momentum, beta1, beta2, epsilon;
    Ema ema;
    float ema_alpha;
    float m_scale, v_scale;  // Adam's corrections of the moments, which begin at 0
    int images;              // accumulated since the last update
    std::vector<UpdateSpan> spans;
};

// By which the workers of a training find each other; opaque.
using WorkerGroupId = std::array<char, 128>;

// One per training. Its caller locks Parameters::mutex around what changes parameters: set(), update(), keep_batch().
class TrainState {
public:
    virtual ~TrainState() = default;
    virtual std::size_t count(StateKind kind, int node, Role role) const = 0;  // 0: none
    // Waits for what is running, then copies count() values. Any thread, together with forward and backward passes.
    virtual void get(StateKind kind, int node, Role role, float* dst) const = 0;
    virtual void set(StateKind kind, int node, Role role, const float* src) = 0;  // makes a missing moving average
    virtual void update(const UpdateRule& rule) = 0;
    // A mini-batch moves rolling statistics of its own, which keep_batch() makes those of the network. Without it, as
    // when the mini-batch fails, nothing has changed. seen: images trained on, those of the mini-batch included.
    virtual void begin_batch(std::uint64_t seen) = 0;
    virtual void keep_batch() = 0;
    // In place of these two, for workers that share an update: the mini-batch's rolling statistics begin at 0, and
    // those of the network stay as they are. What they became is its share of a move (see rolling_shares.hpp). Backends
    // that cannot do it throw Error(backend).
    virtual void begin_share(std::uint64_t seen);
    virtual void get_share(int node, Role role, float* dst) const;
    // Names the first layer and array that holds NaN or Inf, gradients included; "" when all is finite.
    virtual std::string first_non_finite() const = 0;

    // -- of states that sum the gradients of several workers in their own memory; others throw Error(backend) --

    // Why it cannot; "" when it can.
    virtual std::string why_no_group() const;
    // Of a new group, which the caller gives to all its workers.
    virtual WorkerGroupId group_id() const;
    // Returns when all `count` workers have joined; throws Error(backend) after `limit` seconds.
    virtual void join_group(const WorkerGroupId& id, int number, int count, double limit);
    // Replaces the gradients by their sums over all workers, which have the same bits in each; throws likewise.
    virtual void sum_gradients(double limit);

    // -- of states whose plans compute in float16; others throw Error(internal) --

    // Plans multiply what they take from the losses by it, and divide the gradients of parameters again. 1 at first.
    virtual void set_loss_scale(float factor);
    // In front of the first mini-batch of an update: keeps the gradients, which are momentum, and rolling statistics.
    virtual void begin_update();
    // Puts them back, as if the mini-batches had not been.
    virtual void drop_update();
    // Whether gradients or rolling statistics hold NaN or Inf while no trained parameter does.
    virtual bool has_overflowed() const;
};

// Parameters that do not change while this object lives.
class LockedParameters {
public:
    LockedParameters(const Parameters& parameters, std::shared_lock<FairSharedMutex> lock)
        : parameters_(parameters), lock_(std::move(lock)) {}
    const Parameters& operator*() const { return parameters_; }
    const Parameters* operator->() const { return &parameters_; }

private:
    const Parameters& parameters_;
    std::shared_lock<FairSharedMutex> lock_;
};

// Waits for an update that is running, and copies from the training's memory what is newer there.
LockedParameters read_parameters(const Graph& graph, Parameters& parameters);

// While it lives, the state that it makes is the training that moves these parameters; at its end they are on the host.
class ActiveTraining {
public:
    // `make` reads the parameters, which are locked and on the host. Throws Error(invalid_argument) when another
    // training moves them.
    ActiveTraining(std::shared_ptr<const Graph> graph, std::shared_ptr<Parameters> parameters,
                   const std::function<std::shared_ptr<TrainState>()>& make);
    ~ActiveTraining();
    ActiveTraining(const ActiveTraining&) = delete;
    ActiveTraining& operator=(const ActiveTraining&) = delete;
    TrainState& state() const { return *parameters_->training; }

private:
    std::shared_ptr<const Graph> graph_;
    std::shared_ptr<Parameters> parameters_;
};

}  // namespace dn
