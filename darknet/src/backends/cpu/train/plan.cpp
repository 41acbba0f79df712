// SPDX-License-Identifier: Apache-2.0
// The training plan: every output kept for backward, deltas in an arena where those never alive together share bytes.
#include <algorithm>
#include <chrono>

#include "../../../error.hpp"
#include "../../../layers/layer.hpp"
#include "../../../passes/passes.hpp"
#include "../../host/train_state.hpp"
#include "../isa.hpp"
#include "../layout.hpp"
#include "slopes.hpp"
#include "train.hpp"

namespace dn::cpu {
namespace {

using Clock = std::chrono::steady_clock;

// oneDNN multiplies values of one type only; what feeds a head is float32 in bf16 as well.
bool plain_convolution(const TrainContext& context) {
    const auto& params = context.node.as<ConvolutionalParams>();
    return context.src[0].type == context.compute && params.antialiasing == 0 && has_slope(params.activation) &&
           counts_windows(params, context.src[0].shape, context.dst.shape);
}

bool plain_pool(const TrainContext& context) {
    const auto& params = context.node.as<PoolParams>();
    return context.src[0].type == context.dst.type && multiplied_as(context.dst.type) == context.dst.type &&
           !params.depth && params.antialiasing == 0;
}

bool plain_shortcut(const Node& node) {
    const auto& params = node.as<ShortcutParams>();
    return params.weights_per_source == 0 && params.activation == Activation::linear;
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
          state_(host_state(*options.training)),
          frozen_before_(options.training->frozen_before),
          compute_(options.precision == Precision::bf16 ? DType::bf16 : DType::f32),
          input_(options.batch * graph.input.size()) {
        make_tensors();
        for (const Node& node : graph_.nodes) kernels_.push_back(make_train_kernel(context_of(node)));
        runtime_.allocate();
    }

    float* input() override { return input_.data(); }

    void forward() override {
        run([&] {
            from_planes(input_.data(), tensors_[0]);
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
            for (int i = static_cast<int>(kernels_.size()) - 1; i >= frozen_before_; --i)
                if (reached_[i]) kernels_[i]->backward();
        });
    }

    void read(int node, float* dst) const override {
        with_team(options_.threads, [&] { to_planes(tensors_[node + 1], dst); });
    }

    // Only heads keep their delta: others share memory once it is spent.
    void read_delta(int node, float* dst) const override {
        float* planes = kernels_[node]->delta_planes();
        if (!owns_cost(graph_.nodes[node]) || !planes)
            throw Error(Status::invalid_argument, graph_.nodes[node].where,
                        "its delta is not kept on the cpu backend; only that of layers with a loss is");
        std::copy_n(planes, options_.batch * graph_.nodes[node].out.size(), dst);
    }

    Precision precision() const override { return compute_ == DType::bf16 ? Precision::bf16 : Precision::f32; }

    std::size_t activation_bytes() const override {
        return values_.size() + deltas_.size() + runtime_.scratch_size() + input_.size() * sizeof(float);
    }

    // One forward pass; the kernels of backward are not timed one by one.
    std::vector<LayerTime> profile() override {
        std::vector<LayerTime> times;
        run([&] {
            for (std::size_t i = 0; i < kernels_.size(); ++i) {
                const auto start = Clock::now();
                kernels_[i]->forward();
                const std::chrono::duration<double> elapsed = Clock::now() - start;
                times.push_back({static_cast<int>(i), kernels_[i]->what(), elapsed.count()});
            }
        });
        return times;
    }

private:
    bool learns(int node) const { return node >= frozen_before_; }

    DType type_of(int node) const {
        if (node < 0) return compute_;
        const auto feeds_head = [&](const Node& other) {
            return owns_cost(other) && std::find(other.inputs.begin(), other.inputs.end(), node) != other.inputs.end();
        };
        const bool head = std::any_of(graph_.nodes.begin(), graph_.nodes.end(), feeds_head);
        return head || owns_cost(graph_.nodes[node]) ? DType::f32 : compute_;
    }

    // The last node that reads each output, by node + 1; the node itself if none does.
    std::vector<int> last_readers() const {
        std::vector<int> last(graph_.nodes.size() + 1, -1);
        for (const Node& node : graph_.nodes) {
            last[node.index + 1] = std::max(last[node.index + 1], node.index);
            for (int input : node.inputs) last[input + 1] = std::max(last[input + 1], node.index);
        }
        return last;
    }

    void make_tensors() {
        const std::vector<int> last = last_readers();
        const int end = static_cast<int>(graph_.nodes.size());
        std::vector<Buffer> values, deltas;  // by node + 1; backward runs in time end - node
        for (int node = -1; node < end; ++node) {
            values.push_back({graph_.shape_of(node), type_of(node), -1, end, 0});
            if (node >= 0)
                deltas.push_back({graph_.shape_of(node), type_of(node), end - last[node + 1], end - node, 0});
        }
        values_ = AlignedBuffer(pack_arena(values, options_.batch));
        deltas_ = AlignedBuffer(pack_arena(deltas, options_.batch));
        for (int node = -1; node < end; ++node) {
            Tensor tensor;
            tensor.data = values_.data() + values[node + 1].start;
            if (node >= 0 && learns(node)) tensor.delta = deltas_.data() + deltas[node].start;
            tensor.type = type_of(node);
            tensor.n = options_.batch;
            tensor.shape = graph_.shape_of(node);
            tensor.pitch = tensor.shape.c;
            tensors_.push_back(tensor);
        }
        find_reached();
    }

    // Nodes that a loss depends on, those whose delta others write, and for each input whether its node is the first,
    // backward, to do so.
    void find_reached() {
        const std::size_t count = graph_.nodes.size();
        reached_.assign(count, false);
        receives_.assign(count, false);
        overwrites_.resize(count);
        for (std::size_t i = count; i-- > 0;) {
            const Node& node = graph_.nodes[i];
            receives_[i] = reached_[i];
            if (owns_cost(node)) reached_[i] = true;
            if (node.only_forward) reached_[i] = false;
            for (int input : node.inputs) {
                const bool first = reached_[i] && input >= 0 && !reached_[input];
                overwrites_[i].push_back(first);
                if (first) reached_[input] = true;
            }
        }
    }

    TrainContext context_of(const Node& node) {
        TrainContext context{{{graph_,
                               node,
                               &parameters_->of(graph_, node.index),
                               {},
                               tensors_[node.index + 1],
                               options_.batch,
                               options_.threads},
                              {}},
                             runtime_,
                             weights_,
                             compute_,
                             parameters_->weights_version,
                             overwrites_[node.index],
                             receives_[node.index]};
        for (int input : node.inputs) context.src.push_back(tensors_[input + 1]);
        if (learns(node.index)) static_cast<HostTraining&>(context) = state_.of(graph_, node.index);
        return context;
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
    HostTrainState& state_;
    const int frozen_before_;
    DType compute_;
    Floats input_;  // (n, c, h, w), as the caller writes it
    AlignedBuffer values_, deltas_;
    std::vector<Tensor> tensors_;  // by node + 1
    std::vector<bool> reached_, receives_;
    std::vector<std::vector<bool>> overwrites_;
    std::vector<std::unique_ptr<TrainKernel>> kernels_;
};

}  // namespace

std::unique_ptr<TrainKernel> make_train_kernel(const TrainContext& context) {
    switch (context.node.kind) {
        case Kind::convolutional:
            if (auto kernel = plain_convolution(context) ? make_train_convolution(context) : nullptr) return kernel;
            return make_train_by_reference(context);
        case Kind::maxpool:
            return plain_pool(context) ? make_train_maxpool(context) : make_train_by_reference(context);
        case Kind::shortcut:
            return plain_shortcut(context.node) ? make_train_mover(context) : make_train_by_reference(context);
        case Kind::upsample:
            return context.node.as<UpsampleParams>().stride > 0 ? make_train_mover(context)
                                                                : make_train_by_reference(context);
        case Kind::route:
            return make_train_mover(context);
        default:
            return make_train_by_reference(context);
    }
}

std::unique_ptr<Plan> make_train_plan(const Graph& graph, std::shared_ptr<const Parameters> parameters,
                                      const dnnl::engine& engine, const PlanOptions& options) {
    return std::make_unique<TrainPlan>(graph, std::move(parameters), engine, options);
}

}  // namespace dn::cpu
