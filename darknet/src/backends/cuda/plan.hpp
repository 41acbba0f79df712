// SPDX-License-Identifier: Apache-2.0
// An executable for one batch and input size: one arena of activations on the device, a list of kernels.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "activations.hpp"
#include "candidates.hpp"
#include "input.hpp"
#include "kernel_context.hpp"
#include "launch_graph.hpp"

namespace dn::cuda {

// Bytes of all weights as plans pack them.
std::size_t packed_bytes(const Graph& graph, DType type);

// The precision is not `automatic`.
class CudaPlan : public Plan {
public:
    CudaPlan(const Graph& graph, std::shared_ptr<const Parameters> parameters, std::shared_ptr<WeightStore> weights,
             std::shared_ptr<Engine> engine, const PlanOptions& options);
    ~CudaPlan() override;

    // Of such a plan, without making it.
    static std::size_t bytes(const Graph& graph, const PlanOptions& options);

    float* input() override { return input_->planes(); }
    void load(const ImageView* images, int n, bool letterbox) override;
    void forward() override;
    void read(int node, float* dst) const override;
    std::vector<std::vector<Candidate>> candidates(const std::vector<DecodeOptions>& options) const override;
    Precision precision() const override { return options_.precision; }
    std::size_t activation_bytes() const override { return arena_.bytes() + runtime_.scratch_bytes(); }
    std::vector<LayerTime> profile() override;

private:
    struct Step {
        int node;
        std::unique_ptr<Kernel> kernel;
    };

    Tensor tensor_of(int node) const { return activations_.tensor(node, arena_.get<std::byte>()); }
    Context context_of(const Node& node);
    float* planes() const { return reinterpret_cast<float*>(runtime_.scratch()); }

    const Graph& graph_;
    std::shared_ptr<const Parameters> parameters_;
    std::shared_ptr<WeightStore> weights_;
    mutable Runtime runtime_;  // read() computes, too
    PlanOptions options_;
    Activations activations_;
    DeviceBuffer arena_;
    std::optional<PlanInput> input_;
    std::vector<Step> steps_;
    LaunchSequence sequence_;  // of all steps
    std::optional<BoxFinder> finder_;
};

}  // namespace dn::cuda
