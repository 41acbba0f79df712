// SPDX-License-Identifier: Apache-2.0
// The training plan: all kernels forward, the losses, all kernels backward.
#include <algorithm>

#include "../../../error.hpp"
#include "../../../passes/train.hpp"
#include "../../host/train_state.hpp"
#include "../layout.hpp"
#include "train.hpp"

namespace dn::cpu {
namespace {

DType compute_type(const PlanOptions& options) {
    return options.precision == Precision::bf16 ? DType::bf16 : DType::f32;
}

// What feeds a loss stays float32.
TrainActivations place_activations(const Graph& graph, const PlanOptions& options) {
    const auto feeds_loss = [&](int node) {
        return std::any_of(graph.nodes.begin(), graph.nodes.end(), [=](const Node& other) {
            return owns_cost(other) && std::find(other.inputs.begin(), other.inputs.end(), node) != other.inputs.end();
        });
    };
    return TrainActivations(graph, options.batch, options.training->frozen_before, [&](int node) {
        if (node < 0) return compute_type(options);
        return feeds_loss(node) || owns_cost(graph.nodes[node]) ? DType::f32 : compute_type(options);
    });
}

class TrainPlan : public Plan {
public:
    TrainPlan(const Graph& graph, std::shared_ptr<const Parameters> parameters, const dnnl::engine& engine,
              const PlanOptions& options)
        : Plan(graph, options.batch),
          graph_(graph),
          parameters_(std::move(parameters)),
          runtime_(engine, options.threads),
          weights_(engine),
          options_(options),
          training_(options.training),
          activations_(place_activations(graph, options)),
          flow_(find_delta_flow(graph)),
          input_(options.batch * graph.input.size()),
          values_(activations_.value_bytes()),
          deltas_(activations_.delta_bytes()) {
        for (const Node& node : graph_.nodes) kernels_.push_back(make_train_kernel(context_of(node)));
        runtime_.allocate();
    }

    float* input() override { return input_.data(); }

    void forward() override {
        run([&] {
            from_planes(input_.data(), tensor_of(-1));
            for (const auto& kernel : kernels_) kernel->forward();
        });
    }

    void backward(const LossContext& context, std::vector<LossReport>& reports) override {
        LossContext shared = context;
        shared.threads = options_.threads;
        run([&] {
            for (const Node& node : graph_.nodes) {
                if (!owns_cost(node)) continue;
                TrainKernel& kernel = *kernels_[node.index];
                std::fill_n(kernel.delta_planes(), options_.batch * node.out.size(), 0.0f);
                reports[node.index] = loss(node, shared, kernel.output_planes(), kernel.delta_planes());
            }
            for (int i = static_cast<int>(kernels_.size()) - 1; i >= training_.frozen_before(); --i)
                if (flow_[i].reached) kernels_[i]->backward();
        });
    }

    void read(int node, float* dst) const override {
        with_team(options_.threads, [&] { to_planes(tensor_of(node), dst); });
    }

    // Only heads keep their delta: others share memory once it is spent.
    void read_delta(int node, float* dst) const override {
        float* planes = kernels_[node]->delta_planes();
        if (!owns_cost(graph_.nodes[node]) || !planes)
            throw Error(Status::invalid_argument, graph_.nodes[node].where,
                        "its delta is not kept on the cpu backend; only that of layers with a loss is");
        std::copy_n(planes, options_.batch * graph_.nodes[node].out.size(), dst);
    }

    Precision precision() const override { return options_.precision; }

    std::size_t activation_bytes() const override {
        return values_.size() + deltas_.size() + runtime_.scratch_size() + input_.size() * sizeof(float);
    }

    // One forward pass; the kernels of backward are not timed one by one.
    std::vector<LayerTime> profile() override {
        std::vector<LayerTime> times;
        run([&] {
            for (std::size_t i = 0; i < kernels_.size(); ++i)
                times.push_back(timed_forward(static_cast<int>(i), *kernels_[i]));
        });
        return times;
    }

private:
    Tensor tensor_of(int node) const { return activations_.tensor(node, values_.data(), deltas_.data()); }

    TrainContext context_of(const Node& node) {
        return {{make_context(graph_, node, node.inputs, *parameters_, options_.batch, options_.threads,
                              [this](int other) { return tensor_of(other); }),
                 training_.of(graph_, node.index)},
                runtime_,
                weights_,
                compute_type(options_),
                options_.convolutions,
                parameters_->weights_version,
                flow_[node.index].overwrite,
                flow_[node.index].receives};
    }

    void run(const std::function<void()>& work) const {
        try {
            with_team(options_.threads, work);
        } catch (const dnnl::error& error) {
            throw Error(Status::backend, "cpu", text("oneDNN failed: ", error.message));
        }
    }

    const Graph& graph_;
    std::shared_ptr<const Parameters> parameters_;
    Runtime runtime_;
    WeightStore weights_;
    PlanOptions options_;
    PlanTraining training_;
    TrainActivations activations_;
    std::vector<DeltaFlow> flow_;  // by node
    Floats input_;                 // (n, c, h, w), as the caller writes it
    AlignedBuffer values_, deltas_;
    std::vector<std::unique_ptr<TrainKernel>> kernels_;
};

}  // namespace

std::unique_ptr<Plan> make_train_plan(const Graph& graph, std::shared_ptr<const Parameters> parameters,
                                      const dnnl::engine& engine, const PlanOptions& options) {
    return std::make_unique<TrainPlan>(graph, std::move(parameters), engine, options);
}

std::size_t train_plan_bytes(const Graph& graph, const PlanOptions& options) {
    const TrainActivations activations = place_activations(graph, options);
    std::byte anywhere{};  // tensors are described, not used
    const auto tensor_of = [&](int node) { return activations.tensor(node, &anywhere, &anywhere); };
    std::size_t total = options.batch * graph.input.size() * sizeof(float) + activations.value_bytes() +
                        activations.delta_bytes() + (options.training->state ? 0 : HostTrainState::bytes(graph));
    std::size_t scratch = 0;
    for (const Node& node : graph.nodes) {
        std::vector<Tensor> src;
        for (int input : node.inputs) src.push_back(tensor_of(input));
        const TrainLayer layer{node, src, tensor_of(node.index), compute_type(options), options.convolutions};
        total += train_kernel_bytes(layer);
        scratch = std::max(scratch, train_scratch_bytes(layer, options.threads));
    }
    return total + scratch;
}

}  // namespace dn::cpu
