// SPDX-License-Identifier: Apache-2.0
// The reference backend's plan: every layer's output in a buffer of its own, kernels run one after the other.
#include <algorithm>

#include "../../error.hpp"
#include "../host/memory.hpp"
#include "../host/train_state.hpp"
#include "ref.hpp"

namespace dn::ref {
namespace {

constexpr MakeKernel kMakers[] = {
#define DN_LAYER(name) make_##name,
#include "../../layers/layers.def"
#undef DN_LAYER
};

class RefPlan : public Plan {
public:
    RefPlan(const Graph& graph, std::shared_ptr<const Parameters> parameters, const PlanOptions& options)
        : Plan(graph, options.batch),
          graph_(graph),
          parameters_(std::move(parameters)),
          batch_(options.batch),
          training_(options.training) {
        input_.resize(batch_ * graph.input.size());
        outputs_.resize(graph.nodes.size());
        deltas_.resize(graph.nodes.size());
        for (const Node& node : graph.nodes) add_kernel(node, options.threads);
    }

    float* input() override { return input_.data(); }

    void forward() override {
        for (const auto& kernel : kernels_) kernel->forward();
    }

    void backward(const LossContext& context, std::vector<LossReport>& reports) override {
        if (!training_) return Plan::backward(context, reports);
        for (Floats& delta : deltas_) std::fill(delta.begin(), delta.end(), 0.0f);
        for (const Node& node : graph_.nodes)
            if (owns_cost(node))
                reports[node.index] = loss(node, context, outputs_[node.index].data(), deltas_[node.index].data());
        for (int i = static_cast<int>(kernels_.size()) - 1; i >= training_.frozen_before(); --i)
            if (!graph_.nodes[i].only_forward) kernels_[i]->backward();
    }

    void read_delta(int node, float* dst) const override {
        if (!training_) return Plan::read_delta(node, dst);
        std::copy(deltas_[node].begin(), deltas_[node].end(), dst);
    }

    void read(int node, float* dst) const override { std::copy(outputs_[node].begin(), outputs_[node].end(), dst); }

    Precision precision() const override { return Precision::f32; }

    std::size_t activation_bytes() const override {
        std::size_t floats = input_.size();
        for (const Floats& output : outputs_) floats += output.size();
        for (const Floats& delta : deltas_) floats += delta.size();
        return floats * sizeof(float);
    }

    std::vector<LayerTime> profile() override {
        std::vector<LayerTime> times;
        for (std::size_t i = 0; i < kernels_.size(); ++i)
            times.push_back(timed_forward(static_cast<int>(i), *kernels_[i]));
        return times;
    }

private:
    Tensor tensor_of(int node) {
        Tensor tensor;
        tensor.data = node < 0 ? input_.data() : outputs_[node].data();
        tensor.delta = node < 0 || deltas_[node].empty() ? nullptr : deltas_[node].data();
        tensor.n = batch_;
        tensor.shape = graph_.shape_of(node);
        return tensor;
    }

    void add_kernel(const Node& node, int threads) {
        outputs_[node.index].resize(batch_ * node.out.size());
        if (training_.trains(node.index)) deltas_[node.index].resize(batch_ * node.out.size());
        const HostContext context{make_context(graph_, node, node.inputs, *parameters_, batch_, threads,
                                               [this](int other) { return tensor_of(other); }),
                                  training_.of(graph_, node.index)};
        kernels_.push_back(make_kernel(context));
    }

    const Graph& graph_;
    std::shared_ptr<const Parameters> parameters_;
    int batch_;
    Floats input_;
    std::vector<Floats> outputs_;  // by node: planes (batch, c, h, w)
    std::vector<Floats> deltas_;   // likewise, in training; empty for frozen nodes
    PlanTraining training_;
    std::vector<std::unique_ptr<Kernel>> kernels_;
};

class RefBackend : public Backend {
public:
    std::string name() const override { return "ref"; }

    std::unique_ptr<Plan> compile(const Graph& graph, const std::shared_ptr<const Parameters>& parameters,
                                  const PlanOptions& options) const override {
        resolve(options.precision);
        return std::make_unique<RefPlan>(graph, parameters, options);
    }

    std::size_t plan_bytes(const Graph& graph, const PlanOptions& options) const override {
        std::size_t floats = graph.input.size();
        for (const Node& node : graph.nodes) {
            const bool trains = options.training && node.index >= options.training->frozen_before;
            floats += node.out.size() * (trains ? 2 : 1);
        }
        return options.batch * floats * sizeof(float) +
               (options.training && !options.training->state ? HostTrainState::bytes(graph) : 0);
    }
    std::size_t free_bytes() const override { return free_host_bytes(); }

    std::shared_ptr<TrainState> train_state(const Graph& graph, const std::shared_ptr<Parameters>& parameters,
                                            int threads) const override {
        return std::make_shared<HostTrainState>(graph, parameters, threads);
    }
};

}  // namespace

std::unique_ptr<Kernel> make_kernel(const HostContext& context) {
    return kMakers[static_cast<std::size_t>(context.node.kind)](context);
}

std::unique_ptr<Backend> make_backend() { return std::make_unique<RefBackend>(); }

}  // namespace dn::ref
