// SPDX-License-Identifier: Apache-2.0
#include "plan.hpp"

#include <algorithm>
#include <chrono>

#include "../../error.hpp"
#include "../../layers/layer.hpp"
#include "layout.hpp"

namespace dn::cpu {
namespace {

constexpr MakeCpuKernel kKernels[] = {
#define DN_LAYER(name) make_##name,
#include "../../layers/layers.def"
#undef DN_LAYER
};

bool keeps_float(const Node& node) { return layer_def(node.kind).keeps_float; }

// Nodes that the wanted outputs depend on; the others are not computed.
std::vector<bool> find_needed(const FusedGraph& fused, const std::vector<int>& wanted) {
    const std::vector<Node>& nodes = fused.graph.nodes;
    std::vector<bool> needed(nodes.size(), false);
    for (int node : wanted) needed[node] = true;
    for (auto node = nodes.rbegin(); node != nodes.rend(); ++node)
        if (needed[node->index])
            for (int input : fused.inputs(*node))
                if (input >= 0) needed[input] = true;
    return needed;
}

bool has_one_channel_groups(const Node& node) {
    return node.kind == Kind::convolutional && node.as<ConvolutionalParams>().groups > 1 &&
           node.as<ConvolutionalParams>().groups == node.in.c;
}

// In a bf16 network, values of fewer channels than this stay float32. bf16 gains little in narrow layers, least where
// depthwise convolutions leave no matrices to multiply; and rounding that so few channels average out made confidences
// of such networks differ by 0.06 from float32's; now by less than 0.03.
int narrow_channels(const Graph& graph) {
    return std::any_of(graph.nodes.begin(), graph.nodes.end(), has_one_channel_groups) ? 64 : 32;
}

}  // namespace

CpuPlan::CpuPlan(const Graph& graph, std::shared_ptr<const Parameters> parameters, std::shared_ptr<WeightStore> weights,
                 const dnnl::engine& engine, const PlanOptions& options)
    : Plan(graph, options.batch),
      graph_(graph),
      fused_(graph),
      parameters_(std::move(parameters)),
      weights_(std::move(weights)),
      runtime_(engine, options.threads),
      options_(options),
      compute_(options.precision == Precision::bf16 ? DType::bf16 : DType::f32),
      input_(options.batch * graph.input.size()) {
    if (options_.wanted.empty()) options_.wanted = graph_.default_outputs();
    fuse_shortcuts(fused_, options_.wanted);
    fuse_bottlenecks(fused_, options_.wanted,
                     [&](const Bottleneck& bottleneck) { return computes_bottleneck(bottleneck, options_); });
    const std::vector<DType> types = choose_types();
    placement_ = place_outputs(fused_, options_.wanted, rules(types));
    arena_ = AlignedBuffer(pack_arena(placement_.buffers, options_.batch));
    make_steps();
    runtime_.allocate();
}

// Values between layers have the compute type; heads, and what feeds heads alone, are float32.
std::vector<DType> CpuPlan::choose_types() const {
    const std::size_t count = graph_.nodes.size();
    std::vector<bool> feeds_heads(count, false), feeds_others(count, false);
    for (auto node = graph_.nodes.rbegin(); node != graph_.nodes.rend(); ++node) {
        const std::size_t i = node->index;
        const std::vector<int>& inputs = fused_.inputs(*node);
        for (std::size_t k = 0; k < inputs.size(); ++k) {
            if (inputs[k] < 0) continue;
            const bool same_value = k == 0 && fused_.shares_source(*node);
            const bool to_head = same_value ? feeds_heads[i] : keeps_float(*node);
            const bool to_other = same_value ? feeds_others[i] : !keeps_float(*node);
            if (to_head) feeds_heads[inputs[k]] = true;
            if (to_other) feeds_others[inputs[k]] = true;
        }
    }
    const int narrow = narrow_channels(graph_);
    std::vector<DType> types(count, compute_);
    for (const Node& node : graph_.nodes) {
        const bool head_alone = feeds_heads[node.index] && !feeds_others[node.index];
        if (fused_.shares_source(node))
            types[node.index] = node.inputs[0] < 0 ? input_type() : types[node.inputs[0]];
        else if (keeps_float(node) || head_alone || node.out.c < narrow)
            types[node.index] = DType::f32;
    }
    return types;
}

// The input follows its first reader, so that this one need not convert it.
DType CpuPlan::input_type() const {
    return graph_.nodes.front().out.c < narrow_channels(graph_) ? DType::f32 : compute_;
}

PlacementRules CpuPlan::rules(const std::vector<DType>& types) const {
    PlacementRules rules;
    rules.type = [&types, this](int node) { return node < 0 ? input_type() : types[node]; };
    // oneDNN wants dense tensors; all kernels of our own take any pitch.
    rules.reads_slices = [this](const Node& node) {
        if (fused_.of(node.index).depthwise >= 0) return true;
        if (node.kind == Kind::convolutional) return convolves_in_tiles(node, compute_);
        return node.kind != Kind::connected;
    };
    rules.writes_slices = rules.reads_slices;
    rules.in_place = [](const Node& node, std::size_t input) {
        return input < node.inputs.size() ? layer_def(node.kind).element_wise && node.inputs[input] >= 0 : true;
    };
    return rules;
}

Tensor CpuPlan::tensor_of(int node) const {
    const Place& place = placement_.of(node);
    const Buffer& buffer = placement_.buffers[place.buffer];
    Tensor tensor;
    tensor.data = arena_.data() + buffer.start + place.offset * bytes(buffer.type);
    tensor.type = buffer.type;
    tensor.n = options_.batch;
    tensor.shape = graph_.shape_of(node);
    tensor.pitch = buffer.shape.c;
    return tensor;
}

Context CpuPlan::context_of(const Node& node) {
    std::vector<Tensor> src;
    for (int input : fused_.inputs(node)) src.push_back(tensor_of(input));
    Context context{{graph_, node, &parameters_->of(graph_, node.index), src, tensor_of(node.index), options_.batch,
                     options_.threads},
                    runtime_,
                    *weights_,
                    compute_,
                    fused_.of(node.index),
                    {},
                    parameters_.get()};
    if (context.fusion.residual != -2) context.residual = tensor_of(context.fusion.residual);
    return context;
}

void CpuPlan::make_steps() {
    const std::vector<bool> needed = find_needed(fused_, options_.wanted);
    steps_.push_back({-1, make_input(&planes_, tensor_of(-1))});
    for (const Node& node : graph_.nodes) {
        if (!needed[node.index] || fused_.shares_source(node)) continue;
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
    using Clock = std::chrono::steady_clock;
    std::vector<LayerTime> times;
    run([&](Step& step) {
        const auto start = Clock::now();
        step.kernel->forward();
        times.push_back({step.node, step.kernel->what(), std::chrono::duration<double>(Clock::now() - start).count()});
    });
    return times;
}

void CpuPlan::read(int node, float* dst) const {
    with_team(options_.threads, [&] { to_planes(tensor_of(node), dst); });
}

std::size_t CpuPlan::activation_bytes() const {
    return arena_.size() + runtime_.scratch_size() + input_.size() * sizeof(float);
}

}  // namespace dn::cpu
