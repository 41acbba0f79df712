// SPDX-License-Identifier: Apache-2.0
#include "plan.hpp"

#include <algorithm>

#include "../../error.hpp"
#include "conv_winograd.hpp"
#include "isa.hpp"
#include "layout.hpp"

namespace dn::cpu {
namespace {

constexpr MakeCpuKernel kKernels[] = {
#define DN_LAYER(name) make_##name,
#include "../../layers/layers.def"
#undef DN_LAYER
};

PlanOptions with_outputs(const Graph& graph, PlanOptions options) {
    if (options.wanted.empty()) options.wanted = graph.default_outputs();
    return options;
}

}  // namespace

CpuPlan::CpuPlan(const Graph& graph, std::shared_ptr<const Parameters> parameters, std::shared_ptr<WeightStore> weights,
                 const dnnl::engine& engine, const PlanOptions& options)
    : Plan(graph, options.batch),
      graph_(graph),
      parameters_(std::move(parameters)),
      weights_(std::move(weights)),
      runtime_(engine, options.threads),
      options_(with_outputs(graph, options)),
      activations_(graph, options_),
      input_(options.batch * graph.input.size()),
      arena_(activations_.arena_bytes()) {
    make_steps();
    runtime_.allocate();
}

std::size_t packed_bytes(const Graph& graph, Precision precision) {
    std::size_t count = 0, largest = 0;
    for (const Node& node : graph.nodes)
        for (const ArraySpec& array : node.arrays) {
            count += array.count;
            largest = std::max(largest, array.count);
        }
    const DType type = multiplied_as(precision == Precision::bf16 ? DType::bf16 : DType::f32);
    return count * dn::bytes(type) + largest * sizeof(float);
}

std::size_t CpuPlan::bytes(const Graph& graph, const PlanOptions& options) {
    const Activations activations(graph, with_outputs(graph, options));
    return activations.arena_bytes() + winograd_bytes(activations.fused(), activations.compute(), options) +
           options.batch * graph.input.size() * sizeof(float) + packed_bytes(graph, options.precision);
}

Context CpuPlan::context_of(const Node& node) {
    const FusedGraph& fused = activations_.fused();
    Context context{make_context(graph_, node, fused.inputs(node), *parameters_, options_.batch, options_.threads,
                                 [this](int other) { return tensor_of(other); }),
                    runtime_,
                    *weights_,
                    options_.convolutions,
                    activations_.compute(),
                    fused.of(node.index),
                    {},
                    parameters_.get()};
    if (context.fusion.residual != -2) context.residual = tensor_of(context.fusion.residual);
    return context;
}

void CpuPlan::make_steps() {
    const FusedGraph& fused = activations_.fused();
    const std::vector<bool> needed = find_needed(fused, options_.wanted);
    steps_.push_back({-1, make_input(&planes_, tensor_of(-1))});
    for (const Node& node : graph_.nodes) {
        if (!needed[node.index] || fused.shares_source(node)) continue;
        std::unique_ptr<Kernel> kernel = kKernels[static_cast<std::size_t>(node.kind)](context_of(node));
        if (kernel) steps_.push_back({node.index, std::move(kernel)});
    }
}

template <class Each>
void CpuPlan::run(const Each& each) {
    struct BorrowedInput {  // planes that the caller lent for this run
        CpuPlan& plan;
        ~BorrowedInput() { plan.planes_ = plan.input_.data(); }
    } lent{*this};
    try {
        with_team(options_.threads, [&] {
            for (Step& step : steps_) each(step);
        });
    } catch (const dnnl::error& error) {
        throw Error(Status::backend, "cpu", text("oneDNN failed: ", error.message));
    }
}

void CpuPlan::forward() {
    run([](Step& step) { step.kernel->forward(); });
}

std::vector<LayerTime> CpuPlan::profile() {
    std::vector<LayerTime> times;
    run([&](Step& step) { times.push_back(timed_forward(step.node, *step.kernel)); });
    return times;
}

void CpuPlan::read(int node, float* dst) const {
    with_team(options_.threads, [&] { to_planes(tensor_of(node), dst); });
}

std::size_t CpuPlan::activation_bytes() const {
    return arena_.size() + runtime_.scratch_size() + input_.size() * sizeof(float);
}

}  // namespace dn::cpu
