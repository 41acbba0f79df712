// SPDX-License-Identifier: Apache-2.0
// The training state of "check:A,B": that of each backend, side by side.
#pragma once

#include <memory>
#include <string>

#include "backend.hpp"

namespace dn {

// The first backend's state is the training; the second one's begins every mini-batch and every update as a copy of it,
// so that differences do not add up from one to the next.
class CheckTrainState : public TrainState {
public:
    // names: "A and B", for messages.
    CheckTrainState(const Backend& first, const Backend& second, const Graph& graph,
                    const std::shared_ptr<Parameters>& parameters, int threads, std::string names);

    std::size_t count(StateKind kind, int node, Role role) const override { return first_->count(kind, node, role); }
    void get(StateKind kind, int node, Role role, float* dst) const override { first_->get(kind, node, role, dst); }
    void set(StateKind kind, int node, Role role, const float* src) override { first_->set(kind, node, role, src); }
    // Throws Error(backend) naming the first layer that the two update differently.
    void update(const UpdateRule& rule) override;
    void begin_batch(std::uint64_t seen) override;
    // Throws Error(backend) naming the first layer whose rolling statistics they move differently.
    void keep_batch() override;
    void begin_share(std::uint64_t seen) override;
    void get_share(int node, Role role, float* dst) const override { first_->get_share(node, role, dst); }
    std::string first_non_finite() const override { return first_->first_non_finite(); }
    // Losses are compared as they are: one backend alone may compute in float16.
    void set_loss_scale(float) override {}
    void begin_update() override {}
    void drop_update() override {}
    bool has_overflowed() const override { return false; }

    TrainState& first() const { return *first_; }
    TrainState& second() const { return *second_; }
    // What plans of the second backend compute with.
    const std::shared_ptr<const Parameters>& second_parameters() const { return const_second_parameters_; }
    // Of what plans compute; an update is compared as float32.
    void set_tolerance(float tolerance) { tolerance_ = tolerance; }
    // Throws Error(backend) naming the layer whose gradients differ, in the order of the backward pass.
    void compare_gradients() const;

private:
    void copy_to_second();
    void compare_parameters(const char* when, float tolerance) const;
    void compare(StateKind kind, const Node& node, Role role, const std::string& what, float tolerance,
                 float least_scale) const;

    std::shared_ptr<Parameters> second_parameters_;
    std::shared_ptr<const Parameters> const_second_parameters_;
    std::shared_ptr<TrainState> first_, second_;
    const Graph graph_;
    std::string names_;
    float tolerance_ = 0;
};

}  // namespace dn
