// SPDX-License-Identifier: Apache-2.0
#include "plan.hpp"

#include <algorithm>

#include "layer_kernels.hpp"
#include "planes.hpp"

namespace dn::cuda {
namespace {

constexpr MakeCudaKernel kMakers[] = {
#define DN_LAYER(name) make_##name,
#include "../../layers/layers.def"
#undef DN_LAYER
};

PlanOptions with_outputs(const Graph& graph, PlanOptions options) {
    if (options.wanted.empty()) options.wanted = graph.default_outputs();
    return options;
}

// Of the largest planes that come from the host or go there.
std::size_t planes_bytes(const Graph& graph, const PlanOptions& options) {
    std::size_t largest = graph.input.size();
    for (const int node : options.wanted) largest = std::max(largest, graph.shape_of(node).size());
    return options.batch * largest * sizeof(float);
}

}  // namespace

std::size_t packed_bytes(const Graph& graph, DType type) {
    std::size_t total = 0;
    for (const Node& node : graph.nodes)
        for (const ArraySpec& array : node.arrays)
            total += array.count * (array.role == Role::weights && has_filters(node) ? dn::bytes(type) : sizeof(float));
    return total;
}

CudaPlan::CudaPlan(const Graph& graph, std::shared_ptr<const Parameters> parameters,
                   std::shared_ptr<WeightStore> weights, std::shared_ptr<Engine> engine, const PlanOptions& options)
    : Plan(graph, options.batch),
      graph_(graph),
      parameters_(std::move(parameters)),
      weights_(std::move(weights)),
      runtime_(std::move(engine), tuning_of_environment()),
      options_(with_outputs(graph, options)),
      activations_(graph, options_),
      arena_(runtime_.device(), activations_.arena_bytes()),
      sequence_(runtime_.stream) {
    input_.emplace(runtime_, graph.input, tensor_of(-1));
    declare_planes(runtime_, tensor_of(-1).type);
    const std::vector<bool> needed = find_needed(activations_.fused(), options_.wanted);
    for (const Node& node : graph_.nodes) {
        if (!needed[node.index] || activations_.fused().shares_source(node)) continue;
        auto kernel = kMakers[static_cast<std::size_t>(node.kind)](context_of(node));
        if (!kernel) continue;
        sequence_.add([&layer = *kernel] { layer.forward(); }, is_on_host(*kernel));
        steps_.push_back({node.index, std::move(kernel)});
    }
    if (BoxFinder::suits(graph, options_.wanted))
        finder_.emplace(runtime_, graph, options_.batch, [this](int node) { return tensor_of(node); });
    for (const int node : options_.wanted) declare_planes(runtime_, tensor_of(node).type);
    runtime_.engine->kernels.load_declared();
    runtime_.reserve(planes_bytes(graph, options_));
    runtime_.allocate();
}

CudaPlan::~CudaPlan() { runtime_.finish(); }

std::size_t CudaPlan::bytes(const Graph& graph, const PlanOptions& options) {
    const PlanOptions wanted = with_outputs(graph, options);
    const Activations activations(graph, wanted);
    std::size_t kept = 0;
    for (const Node& node : graph.nodes) kept += kept_bytes(node, wanted.batch);
    return kept + activations.arena_bytes() + packed_bytes(graph, activations.compute()) + planes_bytes(graph, wanted) +
           (BoxFinder::suits(graph, wanted.wanted) ? BoxFinder::bytes(graph, wanted.batch) : 0);
}

Context CudaPlan::context_of(const Node& node) {
    const FusedGraph& fused = activations_.fused();
    Context context{make_context(graph_, node, fused.inputs(node), *parameters_, options_.batch, options_.threads,
                                 [this](int other) { return tensor_of(other); }),
                    runtime_,
                    *weights_,
                    options_.precision,
                    activations_.compute(),
                    fused.of(node.index),
                    {}};
    if (context.fusion.residual != -2) context.residual = tensor_of(context.fusion.residual);
    return context;
}

void CudaPlan::load(const ImageView* images, int n, bool letterbox) {
    if (!input_->load(images, n, letterbox)) Plan::load(images, n, letterbox);
}

void CudaPlan::forward() {
    const Entered here(*runtime_.device());
    input_->enqueue();
    sequence_.run();
}

std::vector<LayerTime> CudaPlan::profile() {
    const Entered here(*runtime_.device());
    std::vector<LayerTime> times;
    input_->enqueue();
    for (const Step& step : steps_) times.push_back(time_of(runtime_.stream, step.node, *step.kernel));
    return times;
}

void CudaPlan::read(int node, float* dst) const {
    const Entered here(*runtime_.device());
    const Tensor tensor = tensor_of(node);
    to_planes(runtime_, tensor, planes());
    runtime_.stream.download(planes(), dst, tensor.size() * sizeof(float));
    runtime_.stream.synchronize();
}

std::vector<std::vector<Candidate>> CudaPlan::candidates(const std::vector<DecodeOptions>& options) const {
    if (finder_) {
        const Entered here(*runtime_.device());
        if (auto found = finder_->find(options)) return std::move(*found);
    }
    return Plan::candidates(options);
}

}  // namespace dn::cuda
