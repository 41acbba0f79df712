// SPDX-License-Identifier: Apache-2.0
// A backend, by default the reference one, for tests that change a part of what it does.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backends/registry.hpp"

namespace dn::test {

class WrappedPlan : public Plan {
public:
    WrappedPlan(const Graph& graph, int batch, std::unique_ptr<Plan> plan)
        : Plan(graph, batch), plan_(std::move(plan)) {}
    float* input() override { return plan_->input(); }
    void forward() override { plan_->forward(); }
    void backward(const LossContext& context, std::vector<LossReport>& reports) override {
        plan_->backward(context, reports);
    }
    void read(int node, float* dst) const override { plan_->read(node, dst); }
    void read_delta(int node, float* dst) const override { plan_->read_delta(node, dst); }
    Precision precision() const override { return plan_->precision(); }
    std::size_t activation_bytes() const override { return plan_->activation_bytes(); }
    std::vector<LayerTime> profile() override { return plan_->profile(); }

private:
    std::unique_ptr<Plan> plan_;
};

class WrappedBackend : public Backend {
public:
    explicit WrappedBackend(std::shared_ptr<const Backend> backend = make_backend("ref"))
        : backend_(std::move(backend)) {}
    std::string name() const override { return "wrapped"; }
    std::unique_ptr<Plan> compile(const Graph& graph, const std::shared_ptr<const Parameters>& parameters,
                                  const PlanOptions& options) const override {
        return backend_->compile(graph, parameters, options);
    }
    std::shared_ptr<TrainState> train_state(const Graph& graph, const std::shared_ptr<Parameters>& parameters,
                                            int threads) const override {
        return backend_->train_state(graph, parameters, threads);
    }
    std::size_t plan_bytes(const Graph& graph, const PlanOptions& options) const override {
        return backend_->plan_bytes(graph, options);
    }
    std::size_t free_bytes() const override { return backend_->free_bytes(); }

protected:
    const Backend& wrapped() const { return *backend_; }

private:
    std::shared_ptr<const Backend> backend_;
};

}  // namespace dn::test
