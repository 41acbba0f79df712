// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "../../error.hpp"
#include "../shared_weights.hpp"
#include "cuda.hpp"
#include "dnn.hpp"
#include "plan.hpp"
#include "train/train.hpp"

namespace dn {
namespace cuda {
namespace {

constexpr int kVolta = 70, kAmpere = 80;  // compute capabilities
constexpr int kMostImages = 65535;        // some kernels have a row of blocks for each

class CudaBackend : public Backend {
public:
    CudaBackend(std::shared_ptr<const Libraries> libraries, int index)
        : engine_(std::make_shared<Engine>(std::move(libraries), index)) {}

    std::string name() const override {
        const int index = facts().index;
        return index ? text("cuda:", index) : "cuda";
    }

    std::string device() const override {
        return text(facts().name, " (sm_", facts().arch(), "), cuDNN ",
                    dnn_version_text(engine_->device->libraries().dnn_version));
    }

    // bf16 needs Ampere, as TF32 does; float16 needs tensor cores to be worth its rounding.
    std::vector<PrecisionChoice> precisions() const override {
        std::vector<PrecisionChoice> choices{{Precision::f32, ""}};
        if (facts().arch() >= kAmpere) {
            choices.push_back({Precision::tf32, "products of 10 bits: faster than fp32, and less exact"});
            choices.push_back({Precision::bf16, ""});
        }
        if (facts().arch() >= kVolta) choices.push_back({Precision::f16, ""});
        return choices;
    }

    PrecisionChoice automatic() const override {
        const std::string device = text(facts().name, " (sm_", facts().arch(), ')');
        if (facts().arch() >= kAmpere) return {Precision::bf16, text(device, " multiplies bf16 on tensor cores")};
        if (facts().arch() >= kVolta) return {Precision::f16, text(device, " multiplies fp16 on tensor cores")};
        return {Precision::f32, text(device, " has no tensor cores")};
    }

    std::unique_ptr<Plan> compile(const Graph& graph, const std::shared_ptr<const Parameters>& parameters,
                                  const PlanOptions& options) const override {
        PlanOptions resolved = options;
        resolved.precision = resolve(options.precision).precision;
        if (options.batch > kMostImages)
            throw Error(Status::backend, name(),
                        text("found a batch of ", options.batch, ", expected at most ", kMostImages,
                             " images at once on a GPU; use a smaller batch, or more subdivisions"));
        try {
            return make_plan(graph, parameters, resolved);
        } catch (const Error& error) {
            if (error.status() == Status::out_of_memory) explain_memory(graph, resolved);
            throw;
        }
    }

    std::size_t plan_bytes(const Graph& graph, const PlanOptions& options) const override {
        PlanOptions resolved = options;
        resolved.precision = resolve(options.precision).precision;
        return options.training ? train_plan_bytes(graph, resolved) : CudaPlan::bytes(graph, resolved);
    }

    // Of one plan, whose convolutions share it.
    std::size_t most_scratch_bytes(const Graph& graph) const override {
        const auto convolves = [](const Node& node) {
            return node.kind == Kind::convolutional || node.kind == Kind::connected;
        };
        return std::any_of(graph.nodes.begin(), graph.nodes.end(), convolves) ? kMostWorkspace : 0;
    }

    std::size_t free_bytes() const override { return engine_->device->memory().free; }

    std::shared_ptr<TrainState> train_state(const Graph& graph, const std::shared_ptr<Parameters>& parameters,
                                            int) const override {
        return std::make_shared<CudaTrainState>(graph, *parameters, engine_);
    }

private:
    std::shared_ptr<WeightStore> store_of(const Parameters& parameters, Precision precision) const {
        return weights_.get(parameters, precision, [this] { return std::make_shared<WeightStore>(engine_->device); });
    }

    const DeviceFacts& facts() const { return engine_->device->facts(); }

    std::unique_ptr<Plan> make_plan(const Graph& graph, const std::shared_ptr<const Parameters>& parameters,
                                    const PlanOptions& options) const {
        if (options.training) return make_train_plan(graph, parameters, engine_, options);
        return std::make_unique<CudaPlan>(graph, parameters, store_of(*parameters, options.precision), engine_,
                                          options);
    }

    // The largest batch below that of the options that fits beside other bytes; 0: none.
    int largest_batch(const Graph& graph, PlanOptions options, std::size_t free, std::size_t beside) const {
        int fits = 0;
        for (int above = options.batch; above - fits > 1;) {
            options.batch = fits + (above - fits) / 2;
            (plan_bytes(graph, options) + beside <= free ? fits : above) = options.batch;
        }
        return fits;
    }

    // Throws Error(out_of_memory) with the whole need, in place of the one array that did not fit, and a batch that
    // fits; returns where the forecast, without the scratch memory of cuDNN, does not explain it.
    void explain_memory(const Graph& graph, const PlanOptions& options) const {
        const Device::Memory memory = engine_->device->memory();
        const std::size_t need = plan_bytes(graph, options);
        if (need <= memory.free) return;
        const int asked = options.batch, fits = largest_batch(graph, options, memory.free, most_scratch_bytes(graph));
        const int may_fit = fits ? 0 : largest_batch(graph, options, memory.free, 0);
        const std::string remedy = fits      ? text("a batch of ", fits, " fits")
                                   : may_fit ? text("a batch of ", may_fit, " may fit")
                                             : "not even one image fits: use a smaller input size or the cpu";
        throw Error(Status::out_of_memory, name(),
                    text("found ", megabytes(memory.free), " of ", megabytes(memory.total),
                         " free on the GPU, expected ", megabytes(need), " for a batch of ", asked, "; ", remedy));
    }

    std::shared_ptr<Engine> engine_;
    mutable SharedWeights<WeightStore> weights_;
};

}  // namespace

std::unique_ptr<Backend> make_backend(std::shared_ptr<const Libraries> libraries, int device) {
    return std::make_unique<CudaBackend>(std::move(libraries), device);
}

}  // namespace cuda

std::unique_ptr<Backend> make_cuda_backend(int device) { return cuda::make_backend(cuda::libraries(), device); }

}  // namespace dn
