// SPDX-License-Identifier: Apache-2.0
// The cpu backend: its precisions, its plans, and which of them share packed weights.
#include <map>
#include <mutex>

#include "../../error.hpp"
#include "../host/train_state.hpp"
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
                {Precision::bf16, has_native_bf16() ? ""
                                                    : "this CPU emulates bf16: same results, but slower than native "
                                                      "bf16 or fp32"}};
    }

    PrecisionChoice automatic() const override {
        if (has_native_bf16()) return {Precision::bf16, text("this CPU supports bf16 natively (", isa_name(), ")")};
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
                else if (suits_per_thread_plan(graph, resolved))
                    plan = std::make_unique<PerThreadPlan>(graph, parameters, store_of(parameters), engine_, resolved);
                else
                    plan = std::make_unique<CpuPlan>(graph, parameters, store_of(parameters), engine_, resolved);
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

private:
    struct Store {
        std::weak_ptr<WeightStore> weights;
        std::uint64_t weights_version = 0, statistics_version = 0;  // of the parameters that were packed
    };

    // The packed weights of these parameters, while any plan holds them and the values are the same.
    std::shared_ptr<WeightStore> store_of(const std::shared_ptr<const Parameters>& parameters) const {
        const std::lock_guard<std::mutex> lock(mutex_);
        for (auto entry = stores_.begin(); entry != stores_.end();)
            entry = entry->second.weights.expired() ? stores_.erase(entry) : std::next(entry);
        Store& shared = stores_[parameters.get()];
        std::shared_ptr<WeightStore> store = shared.weights.lock();
        if (!store || shared.weights_version != parameters->weights_version ||
            shared.statistics_version != parameters->statistics_version) {
            store = std::make_shared<WeightStore>(engine_);
            shared = {store, parameters->weights_version, parameters->statistics_version};
        }
        return store;
    }

    dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
    mutable std::mutex mutex_;
    mutable std::map<const Parameters*, Store> stores_;
};

}  // namespace
}  // namespace cpu

std::unique_ptr<Backend> make_cpu_backend() { return std::make_unique<cpu::CpuBackend>(); }

}  // namespace dn
