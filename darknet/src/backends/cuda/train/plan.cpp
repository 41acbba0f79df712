// SPDX-License-Identifier: Apache-2.0
// The training plan: all kernels forward, the losses, all kernels backward.
#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>

#include "../../../error.hpp"
#include "../../../layers/layer.hpp"
#include "../launch_graph.hpp"
#include "../layout.hpp"
#include "../planes.hpp"
#include "../upload.hpp"
#include "losses.hpp"
#include "tile_input.hpp"

namespace dn::cuda {
namespace {

TrainActivations place_activations(const Graph& graph, const PlanOptions& options) {
    return TrainActivations(graph, options.batch, options.training->frozen_before, [&](int node) {
        const bool keeps_float = node >= 0 && layer_def(graph.nodes[node].kind).keeps_float;
        return keeps_float ? DType::f32 : type_of(options.precision);
    });
}

std::size_t input_bytes(const Graph& graph, int batch) { return batch * graph.input.size() * sizeof(float); }

// Bytes of the kernels of a plan, besides the activations.
struct KernelBytes {
    std::size_t kept = 0, scratch = 0, tables = 0;
};

KernelBytes forecast(const Graph& graph, const TrainActivations& activations, const std::vector<DeltaFlow>& flow,
                     const PlanOptions& options) {
    const DType compute = type_of(options.precision);
    std::byte anywhere{};  // tensors are described, not used
    const auto tensor_of = [&](int node) { return activations.tensor(node, &anywhere, &anywhere); };
    KernelBytes total;
    Parts parts;
    for (const Node& node : graph.nodes) {
        std::vector<Tensor> src;
        for (int input : node.inputs) src.push_back(tensor_of(input));
        const Tensor dst = tensor_of(node.index);
        take_kept(parts, node, src, dst, compute);
        take_loss(parts, node, dst, graph.input);
        total.scratch = std::max({total.scratch, loss_scratch_bytes(node, dst),
                                  train_scratch_bytes(node, src, dst, compute, flow[node.index])});
        total.tables += train_table_bytes(node);
    }
    total.kept = parts.bytes();
    return total;
}

class TrainPlan : public Plan {
public:
    TrainPlan(const Graph& graph, std::shared_ptr<const Parameters> parameters, std::shared_ptr<Engine> engine,
              const PlanOptions& options)
        : Plan(graph, options.batch),
          graph_(graph),
          parameters_(std::move(parameters)),
          options_(options),
          state_(state_of(*options.training)),
          frozen_before_(options.training->frozen_before),
          runtime_(std::move(engine)),
          weights_(runtime_.device()),
          activations_(place_activations(graph, options)),
          flow_(find_delta_flow(graph)),
          input_(runtime_.device(), TileInput::bytes(graph.input, options.batch)),
          written_(input_bytes(graph, options.batch)),
          values_(runtime_.device(), activations_.value_bytes()),
          deltas_(runtime_.device(), activations_.delta_bytes()),
          kept_(runtime_.device(), forecast(graph, activations_, flow_, options).kept),
          parts_(kept_.get<std::byte>()),
          tiles_(runtime_, tensor_of(-1)),
          forward_(runtime_.stream),
          backward_(runtime_.stream) {
        options_.training = nullptr;  // the caller's, which may end before the plan
        const Entered here(*runtime_.device());
        for (const Node& node : graph_.nodes) {
            const TrainContext context = context_of(node);
            kernels_.push_back(train_kernel_of(node, context.src, context.dst, context.compute)(context));
            const LossParts parts = take_loss(parts_, node, context.dst, graph.input);
            if (owns_cost(node))
                losses_.push_back(
                    make_loss({node, context.dst, flow_[node.index].receives, graph.input, parts}, state_, runtime_));
        }
        add_steps();
        declare_planes(runtime_, tensor_of(-1).type);
        runtime_.engine->kernels.load_declared();
        runtime_.allocate();
    }

    float* input() override {
        const Entered here(*runtime_.device());
        ahead_ = nullptr;
        composed_ = false;
        written_ = input_bytes(graph_, options_.batch);
        return static_cast<float*>(input_.host());
    }

    void compose(const Tile* tiles, int count) override {
        const Entered here(*runtime_.device());
        ahead_ = nullptr;
        composed_ = true;
        written_ = tiles_.copy(tiles, count, static_cast<std::byte*>(input_.host()));
    }

    void announce(const float* planes) override { announced_ = planes; }

    bool read_from(const float* planes) override { return std::exchange(ahead_, nullptr) == planes; }

    ~TrainPlan() override { runtime_.finish(); }

    void forward() override {
        const float* next = std::exchange(announced_, nullptr);
        run([&] {
            load_input();
            forward_.run();
            if (next) send_ahead(next);
        });
    }

    void backward(const LossContext& context, std::vector<LossReport>& reports) override {
        run([&] {
            LossContext shared = context;
            shared.threads = options_.threads;
            bool moved = false;
            for (const auto& loss : losses_) moved |= loss->prepare(shared);
            if (moved) backward_.forget();
            backward_.run();
        });
        for (const auto& loss : losses_) reports[loss->node()] = loss->report();
    }

    void read(int node, float* dst) const override {
        const Entered here(*runtime_.device());
        HostLayout(runtime_.stream).to_planes(tensor_of(node), dst);
    }

    // Only layers with a loss keep their delta: others share memory once it is spent.
    void read_delta(int node, float* dst) const override {
        const Entered here(*runtime_.device());
        for (const auto& loss : losses_)
            if (loss->node() == node) return loss->read_delta(dst);
        throw Error(Status::invalid_argument, graph_.nodes[node].where,
                    "its delta is not kept on a GPU; only that of layers with a loss is");
    }

    Precision precision() const override { return options_.precision; }

    std::size_t activation_bytes() const override {
        return input_.bytes() + values_.bytes() + deltas_.bytes() + kept_.bytes() + runtime_.scratch_bytes();
    }

    // One forward pass; the kernels of backward are not timed one by one.
    std::vector<LayerTime> profile() override {
        const Entered here(*runtime_.device());
        std::vector<LayerTime> times;
        load_input();
        for (const auto& kernel : kernels_)
            times.push_back(time_of(runtime_.stream, static_cast<int>(times.size()), *kernel));
        return times;
    }

private:
    Tensor tensor_of(int node) const {
        return activations_.tensor(node, values_.get<std::byte>(), deltas_.get<std::byte>());
    }

    TrainContext context_of(const Node& node) {
        Context context{make_context(graph_, node, node.inputs, *parameters_, options_.batch, options_.threads,
                                     [this](int other) { return tensor_of(other); }),
                        runtime_,
                        weights_,
                        options_.precision,
                        type_of(options_.precision),
                        {},
                        {},
                        &state_,
                        {}};
        context.kept = take_kept(parts_, node, context.src, context.dst, context.compute);
        return {std::move(context), flow_[node.index]};
    }

    void add_steps() {
        for (const auto& kernel : kernels_) forward_.add([&layer = *kernel] { layer.forward(); }, is_on_host(*kernel));
        for (const auto& loss : losses_) backward_.add([&of = *loss] { of.launch(); }, loss->on_host());
        auto loss = losses_.rbegin();
        for (int i = static_cast<int>(kernels_.size()) - 1; i >= frozen_before_; --i) {
            const bool owner = loss != losses_.rend() && (*loss)->node() == i;
            if (flow_[i].reached && owner) backward_.add([&of = **loss] { of.pass_back(); }, (*loss)->on_host());
            if (owner) ++loss;
            if (flow_[i].reached)
                backward_.add([&layer = *kernels_[i]] { layer.backward(); }, is_on_host(*kernels_[i]));
        }
    }

    // Nothing of a pass that failed may run beside the next, which begins on another stream.
    void run(const std::function<void()>& pass) {
        const Entered here(*runtime_.device());
        try {
            pass();
        } catch (...) {
            runtime_.finish();
            ahead_ = nullptr;
            throw;
        }
        runtime_.stream.synchronize();
    }

    void load_input() {
        if (const std::size_t bytes = std::exchange(written_, 0)) input_.send(bytes);
        input_.use(runtime_.stream, [&](void* sent) {
            if (composed_)
                tiles_.enqueue(sent);
            else
                from_planes(runtime_, static_cast<const float*>(sent), tensor_of(-1));
        });
    }

    // While the device computes.
    void send_ahead(const float* planes) {
        const std::size_t bytes = input_bytes(graph_, options_.batch);
        std::memcpy(input_.host(), planes, bytes);
        input_.send(bytes);
        composed_ = false;
        ahead_ = planes;
    }

    const Graph& graph_;
    std::shared_ptr<const Parameters> parameters_;
    PlanOptions options_;
    CudaTrainState& state_;
    const int frozen_before_;
    mutable Runtime runtime_;
    WeightStore weights_;  // empty: kernels take the weights of the state
    TrainActivations activations_;
    std::vector<DeltaFlow> flow_;  // by node
    Upload input_;                 // planes (n, c, h, w), as the caller writes them, or tiles with their pixels
    std::size_t written_;          // bytes of what it wrote, until they are sent
    bool composed_ = false;        // they are tiles
    const float *announced_ = nullptr, *ahead_ = nullptr;  // the caller's planes: to be sent, and sent already
    DeviceBuffer values_, deltas_, kept_;
    Parts parts_;  // of what the kernels keep
    TileInput tiles_;
    std::vector<std::unique_ptr<Kernel>> kernels_;   // by node
    std::vector<std::unique_ptr<HeadLoss>> losses_;  // in the order of their nodes
    LaunchSequence forward_, backward_;
};

}  // namespace

std::unique_ptr<Plan> make_train_plan(const Graph& graph, std::shared_ptr<const Parameters> parameters,
                                      std::shared_ptr<Engine> engine, const PlanOptions& options) {
    return std::make_unique<TrainPlan>(graph, std::move(parameters), std::move(engine), options);
}

std::size_t train_plan_bytes(const Graph& graph, const PlanOptions& options) {
    const TrainActivations activations = place_activations(graph, options);
    const KernelBytes kernels = forecast(graph, activations, find_delta_flow(graph), options);
    const auto* state = dynamic_cast<const CudaTrainState*>(options.training->state);  // null: none yet
    const std::size_t in_use = state ? state->bytes_in_use() : 0;
    return TileInput::bytes(graph.input, options.batch) + activations.value_bytes() + activations.delta_bytes() +
           kernels.kept + kernels.scratch + kernels.tables + CudaTrainState::bytes(graph, options.precision) - in_use;
}

}  // namespace dn::cuda
