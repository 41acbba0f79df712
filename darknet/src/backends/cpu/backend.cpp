// SPDX-License-Identifier: Apache-2.0
// The cpu backend: its precisions, its plans, and which of them share packed weights.
#include "../../error.hpp"
#include "../host/memory.hpp"
#include "../host/train_state.hpp"
#include "../shared_weights.hpp"
#include "isa.hpp"
#include "per_thread_plan.hpp"
#include "plan.hpp"
#include "train/train.hpp"

namespace dn {
namespace cpu {
namespace {

class CpuBackend : public Backend {
public:
    std::string name() const override { return "cpu"; }
    std::string device() const override { return isa_name(); }

    std::vector<PrecisionChoice> precisions() const override {
        return {{Precision::f32, ""},
                {Precision::bf16, multiplies_bf16() ? ""
                                                    : "this CPU multiplies bf16 as fp32: same results, but slower than "
                                                      "native bf16 or fp32"}};
    }

    PrecisionChoice automatic() const override {
        if (multiplies_bf16()) return {Precision::bf16, text("this CPU supports bf16 natively (", isa_name(), ")")};
        if (has_native_bf16())
            return {Precision::f32, text("without AMX this CPU multiplies bf16 slower than fp32 (", isa_name(), ")")};
        return {Precision::f32, text("this CPU does not support bf16 natively (", isa_name(), ")")};
    }

    std::unique_ptr<Plan> compile(const Graph& graph, const std::shared_ptr<const Parameters>& parameters,
                                  const PlanOptions& options) const override {
        PlanOptions resolved = options;
        resolved.precision = resolve(options.precision).precision;
        std::unique_ptr<Plan> plan;
        try {
            with_team(options.threads, [&] {
                if (options.training)
                    plan = make_train_plan(graph, parameters, engine_, resolved);
                else
                    plan = inference_plan(graph, parameters, resolved);
            });
        } catch (const dnnl::error& error) {
            throw Error(Status::backend, "cpu", text("oneDNN failed: ", error.message));
        }
        return plan;
    }

    std::shared_ptr<TrainState> train_state(const Graph& graph, const std::shared_ptr<Parameters>& parameters,
                                            int threads) const override {
        return std::make_shared<HostTrainState>(graph, parameters, threads);
    }

    std::size_t plan_bytes(const Graph& graph, const PlanOptions& options) const override {
        PlanOptions resolved = options;
        resolved.precision = resolve(options.precision).precision;
        if (options.training) return train_plan_bytes(graph, resolved);
        return suits_per_thread_plan(graph, resolved) ? PerThreadPlan::bytes(graph, resolved)
                                                      : CpuPlan::bytes(graph, resolved);
    }
    std::size_t free_bytes() const override { return free_host_bytes(); }

private:
    std::unique_ptr<Plan> inference_plan(const Graph& graph, const std::shared_ptr<const Parameters>& parameters,
                                         const PlanOptions& options) const {
        const std::shared_ptr<WeightStore> store =
            stores_.get(*parameters, options.precision, [this] { return std::make_shared<WeightStore>(engine_); });
        if (suits_per_thread_plan(graph, options))
            return std::make_unique<PerThreadPlan>(graph, parameters, store, engine_, options);
        return std::make_unique<CpuPlan>(graph, parameters, store, engine_, options);
    }

    dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
    mutable SharedWeights<WeightStore> stores_;
};

}  // namespace
}  // namespace cpu

std::unique_ptr<Backend> make_cpu_backend() { return std::make_unique<cpu::CpuBackend>(); }

}  // namespace dn
