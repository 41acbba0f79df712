// SPDX-License-Identifier: Apache-2.0
// The training plan: all kernels forward, the losses on the host, all kernels backward.
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
#include "tile_input.hpp"
#include "train.hpp"

namespace dn::cuda {
namespace {

TrainActivations place_activations(const Graph& graph, const PlanOptions& options) {
    return TrainActivations(graph, options.batch, options.training->frozen_before, [&](int node) {
        const bool keeps_float = node >= 0 && layer_def(graph.nodes[node].kind).keeps_float;
        return keeps_float ? DType::f32 : type_of(options.precision);
    });
}

std::size_t input_bytes(const Graph& graph, int batch) { return batch * graph.input.size() * sizeof(float); }

// Of the planes of a loss that go to the device and come from it, twice.
std::size_t transfer_bytes(const Graph& graph, int batch) {
    std::size_t largest = 0;
    for (const Node& node : graph.nodes)
        if (owns_cost(node)) largest = std::max(largest, 2 * node.out.size());
    return batch * largest * sizeof(float);
}

// Bytes of the kernels of a plan, besides the activations.
struct KernelBytes {
    std::size_t kept = 0, scratch = 0, tables = 0;
};

KernelBytes forecast(const Graph& graph, const TrainActivations& activations, const std::vector<DeltaFlow>& flow,
                     const PlanOptions& options) {
    const DType compute = type_of(options.precision);
    std::byte anywhere{};  // tensors are described, not used
    const auto tensor_of = [&](int node) { return activations.tensor(node, &anywhere, &anywhere); };
    KernelBytes total{0, transfer_bytes(graph, options.batch), 0};
    Parts parts;
    for (const Node& node : graph.nodes) {
        std::vector<Tensor> src;
        for (int input : node.inputs) src.push_back(tensor_of(input));
        const Tensor dst = tensor_of(node.index);
        take_kept(parts, node, src, dst, compute);
        total.scratch = std::max(total.scratch, train_scratch_bytes(node, src, dst, compute, flow[node.index]));
        total.tables += train_table_bytes(node);
    }
    total.kept = parts.bytes();
    return total;
}

std::size_t plane_bytes(const Tensor& tensor) { return tensor.size() * sizeof(float); }

// A layer with a loss: its output and its delta, as planes on the host.
class LossOnHost {
public:
    LossOnHost(const Node& node, const Tensor& tensor, bool receives, Runtime& runtime)
        : node_(node),
          tensor_(tensor),
          receives_(receives),
          runtime_(runtime),
          output_(runtime.device(), plane_bytes(tensor)),
          delta_(runtime.device(), plane_bytes(tensor)),
          add_(runtime, kernel::copy, DType::f32) {}

    int node() const { return node_.index; }
    const float* delta() const { return delta_.get<float>(); }

    // The output is there when the stream was waited for.
    void fetch() const {
        auto* planes = reinterpret_cast<float*>(runtime_.scratch());
        to_planes(runtime_, tensor_, planes);
        runtime_.stream.download(planes, output_.get<float>(), output_.bytes());
    }

    LossReport compute(const LossContext& context) const {
        std::fill_n(delta_.get<float>(), tensor_.size(), 0.0f);
        return loss(node_, context, output_.get<float>(), delta_.get<float>());
    }

    // The delta, times `scale`, joins what other layers have written.
    void pass_back(float scale) const {
        auto* planes = reinterpret_cast<float*>(runtime_.scratch());
        runtime_.stream.upload(delta_.get<float>(), planes, delta_.bytes());
        Tensor delta = delta_of(tensor_), own = delta;
        own.data = planes + tensor_.size();
        from_planes(runtime_, planes, own);
        const CopyArgs args{view_of(own), view_of(delta), nullptr, pixels_of(delta), delta.shape.c, scale, receives_};
        add_(args.pixels * args.channels, args);
    }

private:
    const Node& node_;
    const Tensor tensor_;
    const bool receives_;
    Runtime& runtime_;
    PinnedBuffer output_, delta_;
    Launch<CopyArgs> add_;
};

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
            if (owns_cost(node))
                losses_.push_back(
                    std::make_unique<LossOnHost>(node, tensor_of(node.index), flow_[node.index].receives, runtime_));
        }
        add_steps();
        declare_planes(runtime_, tensor_of(-1).type);
        for (const auto& loss : losses_) declare_planes(runtime_, tensor_of(loss->node()).type);
        runtime_.engine->kernels.load_declared();
        runtime_.reserve(transfer_bytes(graph, options.batch));
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
            compute_losses(context, reports);
            backward_.run();
        });
    }

    void read(int node, float* dst) const override {
        const Entered here(*runtime_.device());
        HostLayout(runtime_.stream).to_planes(tensor_of(node), dst);
    }

    // Only layers with a loss keep their delta: others share memory once it is spent.
    void read_delta(int node, float* dst) const override {
        for (const auto& loss : losses_)
            if (loss->node() == node) {
                std::copy_n(loss->delta(), options_.batch * graph_.nodes[node].out.size(), dst);
                return;
            }
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

    // Deltas of losses come from the host, multiplied by a factor that changes.
    void add_steps() {
        for (const auto& kernel : kernels_) forward_.add([&layer = *kernel] { layer.forward(); }, is_on_host(*kernel));
        auto loss = losses_.rbegin();
        for (int i = static_cast<int>(kernels_.size()) - 1; i >= frozen_before_; --i) {
            const bool owner = loss != losses_.rend() && (*loss)->node() == i;
            if (flow_[i].reached && owner)
                backward_.add([this, &of = **loss] { of.pass_back(state_.loss_scale()); }, true);
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

    void compute_losses(const LossContext& context, std::vector<LossReport>& reports) const {
        LossContext shared = context;
        shared.threads = options_.threads;
        for (const auto& loss : losses_) loss->fetch();
        runtime_.stream.synchronize();
        for (const auto& loss : losses_) reports[loss->node()] = loss->compute(shared);
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
    std::vector<std::unique_ptr<Kernel>> kernels_;     // by node
    std::vector<std::unique_ptr<LossOnHost>> losses_;  // in the order of their nodes
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
