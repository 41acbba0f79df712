// SPDX-License-Identifier: Apache-2.0
// A batch as independent images: each thread runs whole images by itself with a plan of its own. In networks of few
// weights and many layers, activations then stay in the thread's cache and no layer waits for the other threads.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "plan.hpp"

namespace dn::cpu {

// Whether a batch is faster so: every thread has as many images, and the weights are few enough to be read for each.
bool suits_per_thread_plan(const Graph& graph, const PlanOptions& options);

class PerThreadPlan : public Plan {
public:
    PerThreadPlan(const Graph& graph, const std::shared_ptr<const Parameters>& parameters,
                  const std::shared_ptr<WeightStore>& weights, const dnnl::engine& engine, const PlanOptions& options);

    // Of such a plan, without making it, as CpuPlan::bytes().
    static std::size_t bytes(const Graph& graph, const PlanOptions& options);

    float* input() override { return input_.data(); }
    bool read_from(const float* planes) override {
        planes_ = planes;
        return true;
    }
    void forward() override;
    void read(int node, float* dst) const override;
    Precision precision() const override { return plans_.front()->precision(); }
    std::size_t activation_bytes() const override;
    // Steps of all images added up, divided among the threads.
    std::vector<LayerTime> profile() override;

private:
    template <class Each>
    void for_each_image(const Each& each);

    int batch_, threads_;
    std::vector<std::unique_ptr<CpuPlan>> plans_;  // one per thread
    std::size_t image_size_;
    Floats input_;
    const float* planes_ = input_.data();  // what the next forward() reads
    std::map<int, Floats> outputs_;        // of the wanted nodes, all images
};

}  // namespace dn::cpu
