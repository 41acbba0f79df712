// SPDX-License-Identifier: Apache-2.0
#include "../../error.hpp"
#include "cuda.hpp"
#include "plan.hpp"

namespace dn {
namespace cuda {
namespace {

class CudaBackend : public Backend {
public:
    explicit CudaBackend(int index) : engine_(std::make_shared<Engine>(index)) {}

    std::string name() const override {
        const int index = facts().index;
        return index ? text("cuda:", index) : "cuda";
    }

    std::string device() const override {
        return text(facts().name, " (sm_", facts().arch(), "), cuDNN ",
                    dnn_version_text(engine_->device->libraries().dnn_version));
    }

    std::unique_ptr<Plan> compile(const Graph& graph, const std::shared_ptr<const Parameters>& parameters,
                                  const PlanOptions& options) const override {
        PlanOptions resolved = options;
        resolved.precision = resolve(options.precision).precision;
        if (options.training) throw_no_training();
        return std::make_unique<CudaPlan>(graph, parameters, engine_, resolved);
    }

    std::size_t plan_bytes(const Graph& graph, const PlanOptions& options) const override {
        PlanOptions resolved = options;
        resolved.precision = resolve(options.precision).precision;
        return CudaPlan::bytes(graph, resolved);
    }

    std::size_t free_bytes() const override { return engine_->device->memory().free; }

    std::shared_ptr<TrainState> train_state(const Graph&, const std::shared_ptr<Parameters>&, int) const override {
        throw_no_training();
    }

private:
    const DeviceFacts& facts() const { return engine_->device->facts(); }

    [[noreturn]] void throw_no_training() const {
        throw Error(Status::backend, name(), "this backend does not train yet; train on the cpu backend");
    }

    std::shared_ptr<Engine> engine_;
};

}  // namespace
}  // namespace cuda

std::unique_ptr<Backend> make_cuda_backend(int device) { return std::make_unique<cuda::CudaBackend>(device); }

}  // namespace dn
