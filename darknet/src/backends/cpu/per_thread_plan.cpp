// SPDX-License-Identifier: Apache-2.0
#include "per_thread_plan.hpp"

#include <algorithm>
#include <utility>

namespace dn::cpu {
namespace {

constexpr std::size_t kFewWeights = 32 << 20;  // bytes; read again for every image

}  // namespace

bool suits_per_thread_plan(const Graph& graph, const PlanOptions& options) {
    std::size_t weights = 0;
    for (const Node& node : graph.nodes) weights += node.parameter_count() * sizeof(float);
    return options.batch > 1 && options.batch % options.threads == 0 && weights <= kFewWeights;
}

PerThreadPlan::PerThreadPlan(const Graph& graph, const std::shared_ptr<const Parameters>& parameters,
                             const std::shared_ptr<WeightStore>& weights, const dnnl::engine& engine,
                             const PlanOptions& options)
    : Plan(graph, options.batch),
      batch_(options.batch),
      threads_(options.threads),
      image_size_(graph.input.size()),
      input_(options.batch * graph.input.size()) {
    PlanOptions single = options;
    single.batch = single.threads = 1;
    with_team(1, [&] {
        for (int i = 0; i < threads_; ++i)
            plans_.push_back(std::make_unique<CpuPlan>(graph, parameters, weights, engine, single));
    });
    for (int node : plans_.front()->wanted()) outputs_[node].resize(batch_ * graph.nodes[node].out.size());
}

std::size_t PerThreadPlan::bytes(const Graph& graph, const PlanOptions& options) {
    std::size_t floats = graph.input.size();
    for (int node : options.wanted.empty() ? graph.default_outputs() : options.wanted)
        floats += graph.nodes[node].out.size();
    PlanOptions single = options;
    single.batch = single.threads = 1;
    const std::size_t one = CpuPlan::bytes(graph, single), weights = packed_bytes(graph, options.precision);
    return options.threads * (one - weights) + weights + options.batch * floats * sizeof(float);
}

// each(plan of the calling thread, image); its outputs are kept.
template <class Each>
void PerThreadPlan::for_each_image(const Each& each) {
    const float* planes = std::exchange(planes_, input_.data());
    with_team(threads_, [&] {
        parallel_tasks(batch_, [&](int image) {
            CpuPlan& plan = *plans_[thread_index()];
            plan.read_from(planes + image * image_size_);
            each(plan, thread_index());
            for (auto& [node, values] : outputs_) plan.read(node, values.data() + image * (values.size() / batch_));
        });
    });
}

void PerThreadPlan::forward() {
    for_each_image([](CpuPlan& plan, int) { plan.forward(); });
}

std::vector<LayerTime> PerThreadPlan::profile() {
    std::vector<std::vector<LayerTime>> by_thread(threads_);
    for_each_image([&](CpuPlan& plan, int thread) {
        std::vector<LayerTime> times = plan.profile();
        std::vector<LayerTime>& sums = by_thread[thread];
        if (sums.empty())
            sums = std::move(times);
        else
            for (std::size_t i = 0; i < sums.size(); ++i) sums[i].seconds += times[i].seconds;
    });
    std::vector<LayerTime> all;
    for (const std::vector<LayerTime>& sums : by_thread) {
        if (all.empty()) all.assign(sums.size(), {});
        for (std::size_t i = 0; i < sums.size(); ++i)
            all[i] = {sums[i].node, sums[i].what, all[i].seconds + sums[i].seconds / threads_};
    }
    return all;
}

void PerThreadPlan::read(int node, float* dst) const {
    const Floats& values = outputs_.at(node);
    std::copy(values.begin(), values.end(), dst);
}

std::size_t PerThreadPlan::activation_bytes() const {
    std::size_t size = input_.size() * sizeof(float);
    for (const auto& plan : plans_) size += plan->activation_bytes();
    for (const auto& [node, values] : outputs_) size += values.size() * sizeof(float);
    return size;
}

}  // namespace dn::cpu
