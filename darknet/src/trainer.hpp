// SPDX-License-Identifier: Apache-2.0
// One network learning: mini-batches are accumulated, then an update moves the weights. Loops, schedules of events and
// files are the caller's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "network.hpp"
#include "solver.hpp"

namespace dn {

class Trainer {
public:
    // Learns on the network's parameters, with its threads and precision, and its backend unless another is given. The
    // network may be used for inference between the calls. Throws Error(cfg) for a network that cannot be trained.
    // Variances that no file gave begin at 0, as in Darknet: then the rolling ones are right but for a factor that
    // grows to 1, where a 1 would outlast the small variances of many layers.
    explicit Trainer(const Network& network, std::shared_ptr<const Backend> backend = nullptr);
    Trainer(const Trainer&) = delete;  // plans point into it
    Trainer& operator=(const Trainer&) = delete;

    // One mini-batch: images are planes (n, c, h, w) in 0..1. Forward, loss, backward; returns Darknet's cost, the mean
    // over the layers that own one. When it throws, counters and rolling statistics are as before; if it was as late as
    // in backward, gradients are not, and nothing goes on until set_counters() says that they were replaced.
    float accumulate(const float* images, int n, const float* truths, std::size_t truth_stride);
    // Moves the weights by what was accumulated since the last update; throws Error(invalid_argument) after nothing.
    void update();
    // Another input size from the next mini-batch on (dynamic resize).
    void resize(int width, int height);

    // Output and delta of a layer in the last accumulate(), (n, outputs).
    void read(int layer, float* dst, std::size_t count) const;
    void read_delta(int layer, float* dst, std::size_t count) const;

    const Graph& graph() const { return *graph_; }
    Parameters& parameters() { return *parameters_; }
    Solver& solver() { return solver_; }
    const Solver& solver() const { return solver_; }
    std::uint64_t seen() const { return parameters_->seen; }
    int pending() const { return images_; }  // images accumulated since the last update
    // After the arrays of the state were written: where they were taken. Nothing is pending then.
    void set_counters(std::int64_t iteration, std::uint64_t seen);
    const std::vector<LossReport>& reports() const { return reports_; }  // by node, of the last accumulate()
    std::size_t activation_bytes() const { return plan_ ? plan_->activation_bytes() : 0; }
    // Names the first layer and array that holds NaN or Inf, gradients included; "" when all is finite.
    std::string first_non_finite() const;

private:
    Plan& plan(int n);
    void check_whole() const;
    void run(Plan& compiled, const LossContext& context);
    void check_read(int layer, std::size_t count) const;

    std::shared_ptr<const Backend> backend_;
    NetworkOptions options_;
    std::shared_ptr<const Graph> graph_;
    std::shared_ptr<Parameters> parameters_;
    Solver solver_;
    Training training_;
    std::unique_ptr<Plan> plan_;
    int plan_images_ = 0;
    std::vector<LossReport> reports_;
    int images_ = 0;
    bool gradients_incomplete_ = false;  // a mini-batch failed in backward: the gradients hold a part of it
};

}  // namespace dn
