// SPDX-License-Identifier: Apache-2.0
// An executable for one batch and input size: the fused graph, one arena of activations, a list of kernels.
#pragma once

#include <memory>
#include <vector>

#include "activations.hpp"
#include "cpu.hpp"

namespace dn::cpu {

// Bytes of all weights as plans pack them, and of the copy of the largest array that is on its way.
std::size_t packed_bytes(const Graph& graph, Precision precision);

// The precision is not `automatic`.
class CpuPlan : public Plan {
public:
    CpuPlan(const Graph& graph, std::shared_ptr<const Parameters> parameters, std::shared_ptr<WeightStore> weights,
            const dnnl::engine& engine, const PlanOptions& options);

    // Of such a plan, without making it; the scratch of oneDNN's primitives is not known before.
    static std::size_t bytes(const Graph& graph, const PlanOptions& options);

    float* input() override { return input_.data(); }
    bool read_from(const float* planes) override {
        planes_ = planes;
        return true;
    }
    void forward() override;
    const std::vector<int>& wanted() const { return options_.wanted; }
    void read(int node, float* dst) const override;
    Precision precision() const override { return options_.precision; }
    std::size_t activation_bytes() const override;
    std::vector<LayerTime> profile() override;

private:
    struct Step {
        int node;
        std::unique_ptr<Kernel> kernel;
    };

    Tensor tensor_of(int node) const { return activations_.tensor(node, arena_.data()); }
    Context context_of(const Node& node);
    void make_steps();
    template <class Each>
    void run(const Each& each);

    const Graph& graph_;
    std::shared_ptr<const Parameters> parameters_;
    std::shared_ptr<WeightStore> weights_;
    Runtime runtime_;
    PlanOptions options_;
    Activations activations_;
    Floats input_;                         // (n, c, h, w), as the caller writes it
    const float* planes_ = input_.data();  // what the next forward() reads
    AlignedBuffer arena_;
    std::vector<Step> steps_;
};

}  // namespace dn::cpu
