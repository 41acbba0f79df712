// SPDX-License-Identifier: Apache-2.0
// An executable for one batch and input size: the fused graph, one arena of activations, a list of kernels.
#pragma once

#include <memory>
#include <vector>

#include "../../passes/passes.hpp"
#include "cpu.hpp"

namespace dn::cpu {

class CpuPlan : public Plan {
public:
    CpuPlan(const Graph& graph, std::shared_ptr<const Parameters> parameters, std::shared_ptr<WeightStore> weights,
            const dnnl::engine& engine, const PlanOptions& options);

    float* input() override { return input_.data(); }
    bool read_from(const float* planes) override {
        planes_ = planes;
        return true;
    }
    void forward() override;
    const std::vector<int>& wanted() const { return options_.wanted; }
    void read(int node, float* dst) const override;
    Precision precision() const override { return compute_ == DType::bf16 ? Precision::bf16 : Precision::f32; }
    std::size_t activation_bytes() const override;
    std::vector<LayerTime> profile() override;

private:
    struct Step {
        int node;
        std::unique_ptr<Kernel> kernel;
    };

    std::vector<DType> choose_types() const;
    DType input_type() const;
    PlacementRules rules(const std::vector<DType>& types) const;
    Tensor tensor_of(int node) const;
    Context context_of(const Node& node);
    void make_steps();
    template <class Each>
    void run(const Each& each);

    const Graph& graph_;
    FusedGraph fused_;
    std::shared_ptr<const Parameters> parameters_;
    std::shared_ptr<WeightStore> weights_;
    Runtime runtime_;
    PlanOptions options_;
    DType compute_;
    Placement placement_;
    Floats input_;                         // (n, c, h, w), as the caller writes it
    const float* planes_ = input_.data();  // what the next forward() reads
    AlignedBuffer arena_;
    std::vector<Step> steps_;
};

}  // namespace dn::cpu
