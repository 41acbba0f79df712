// SPDX-License-Identifier: Apache-2.0
// Training on the cpu backend: the same channels-last tensors as in inference, dense, each with its delta beside it.
// Convolutions, pools and what moves data have kernels of their own; every other layer runs the reference kernel.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "../cpu.hpp"

namespace dn::cpu {

// Input of a training kernel. Deltas have the type of their values.
struct TrainContext : HostContext {
    Runtime& runtime;
    WeightStore& weights;  // of this plan alone
    DType compute;
    ConvMethod convolutions;                            // as the plan's options have it
    const std::atomic<std::uint64_t>& weights_version;  // of params: what has packed them packs again when it moves
    std::vector<bool> overwrite;  // per source: this kernel is the first to write its delta and must fill all of it
    bool receives;                // a layer behind it wrote dst's delta
};

class TrainKernel : public Kernel {
public:
    // Planes (n, c, h, w) of the output and of its delta, for layers that own a loss; null for others.
    virtual float* output_planes() { return nullptr; }
    virtual float* delta_planes() { return nullptr; }
};

std::unique_ptr<TrainKernel> make_train_kernel(const TrainContext& context);

// What decides on the kernel of a layer. For the memory that it takes, the addresses of tensors do not matter.
struct TrainLayer {
    const Node& node;
    const std::vector<Tensor>& src;
    Tensor dst;
    DType compute = DType::f32;
    ConvMethod convolutions = ConvMethod::automatic;
};
// Bytes that the kernel takes besides its tensors.
std::size_t train_kernel_bytes(const TrainLayer& layer);
// Those that it takes of the scratch memory that all kernels share, without oneDNN's.
std::size_t train_scratch_bytes(const TrainLayer& layer, int threads);

// Null where oneDNN has nothing but a definition of its own.
std::unique_ptr<TrainKernel> make_train_convolution(const TrainContext& context);
// With tiles as winograd_training_tile() says.
std::unique_ptr<TrainKernel> make_train_winograd(const TrainContext& context, int tile);
std::size_t winograd_training_bytes(const Tensor& src, const Tensor& dst);
std::size_t winograd_training_scratch(int tile, const Tensor& src, const Tensor& dst, int threads);
std::unique_ptr<TrainKernel> make_train_maxpool(const TrainContext& context);
// route, shortcut without weights, upsample: forward as in inference, deltas moved.
std::unique_ptr<TrainKernel> make_train_mover(const TrainContext& context);
std::unique_ptr<TrainKernel> make_train_by_reference(const TrainContext& context);

std::unique_ptr<Plan> make_train_plan(const Graph& graph, std::shared_ptr<const Parameters> parameters,
                                      const dnnl::engine& engine, const PlanOptions& options);
// Bytes of such a plan and of the training state, without making them.
std::size_t train_plan_bytes(const Graph& graph, const PlanOptions& options);

// -- helpers of the kernels ------------------------------------------------------------------------------------------

// Channels [from_channel, + channels) of `from` into [to_channel, ...) of `to`: replaced, or added to what is there.
void move_channels(const Tensor& from, int from_channel, const Tensor& to, int to_channel, int channels,
                   bool overwrite);
void clear(const Tensor& tensor);

}  // namespace dn::cpu
