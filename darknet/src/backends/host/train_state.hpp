// SPDX-License-Identifier: Apache-2.0
// The state of a training in host memory, for ref and cpu: the parameters are those of the network, in place.
#pragma once

#include "../backend.hpp"
#include "host_training.hpp"

namespace dn {

class HostTrainState : public TrainState {
public:
    HostTrainState(const Graph& graph, std::shared_ptr<Parameters> parameters, int threads);

    std::size_t count(StateKind kind, int node, Role role) const override;
    void get(StateKind kind, int node, Role role, float* dst) const override;
    void set(StateKind kind, int node, Role role, const float* src) override;
    void update(const UpdateRule& rule) override;
    void begin_batch(std::uint64_t seen) override;
    void keep_batch() override;
    void begin_share(std::uint64_t seen) override;
    void get_share(int node, Role role, float* dst) const override;
    std::string first_non_finite() const override;

    // Bytes of such a state, the parameters apart.
    static std::size_t bytes(const Graph& graph);
    // What a node's kernel trains. The arrays keep their addresses.
    HostTraining of(const Graph& graph, int node);

private:
    struct Slot {
        int node;
        Role role;
        std::size_t count;
    };

    const Floats& array(StateKind kind, int node, Role role) const;
    Floats& array(StateKind kind, int node, Role role);
    void sgd(const UpdateSpan& span, const UpdateRule& rule, std::size_t first, std::size_t last);
    void adam(const UpdateSpan& span, const UpdateRule& rule, std::size_t first, std::size_t last);
    // An array for each that is trained.
    std::vector<NodeParameters> zeros() const;
    void update_ema(const UpdateRule& rule, bool begins);
    // visit(slot, first, last) for parts of every trained array, on all threads.
    template <class Visit>
    void for_trained(const Visit& visit) const;

    std::shared_ptr<Parameters> parameters_;
    int threads_;
    std::vector<std::string> where_;  // by node
    std::vector<Slot> trained_;       // every array that an update may move
    std::vector<NodeParameters> gradients_, adam_m_, adam_v_;
    std::vector<NodeParameters> ema_;         // no nodes: there is none yet
    std::vector<NodeParameters> statistics_;  // rolling, of the mini-batch that runs
    std::uint64_t seen_;
};

// The training's part of a plan on host memory.
class PlanTraining {
public:
    // Null: inference. Throws Error(internal) when the state is another backend's.
    explicit PlanTraining(const Training* training);

    explicit operator bool() const { return state_ != nullptr; }
    int frozen_before() const { return frozen_before_; }
    bool trains(int node) const { return state_ && node >= frozen_before_; }
    // Of a node that is not trained: nothing.
    HostTraining of(const Graph& graph, int node) const;

private:
    HostTrainState* state_ = nullptr;
    int frozen_before_ = 0;
};

}  // namespace dn
