// SPDX-License-Identifier: Apache-2.0
// Training on a GPU: channels-last tensors, dense, each with its delta beside it. Outputs and deltas have the type of
// convolutions, those of layers with a loss float32. Deltas are multiplied by the state's loss scale.
#pragma once

#include <memory>
#include <vector>

#include "../../../passes/train.hpp"
#include "../layer_kernels.hpp"
#include "state.hpp"

namespace dn::cuda {

// Input of a training kernel. Of frozen nodes dst has no delta: they run as in inference, by rolling statistics.
struct TrainContext : Context {
    DeltaFlow flow;

    bool trains() const { return dst.delta != nullptr; }
    // Whether the kernel writes the delta of an input, and whether it adds to what others have written.
    bool wants(std::size_t input) const { return trains() && src[input].delta; }
    bool adds(std::size_t input) const { return !flow.overwrite[input]; }
};

// train_by_reference() where the device has no kernel that trains the layer.
using MakeTrainKernel = std::unique_ptr<Kernel> (*)(const TrainContext&);
// How a layer with these tensors is trained, of which the addresses do not matter.
MakeTrainKernel train_kernel_of(const Node& node, const std::vector<Tensor>& src, const Tensor& dst, DType compute);

std::unique_ptr<Kernel> train_convolution(const TrainContext& context);  // and [connected]
std::unique_ptr<Kernel> train_batchnorm(const TrainContext& context);
std::unique_ptr<Kernel> train_activation(const TrainContext& context);
std::unique_ptr<Kernel> train_maxpool(const TrainContext& context);
std::unique_ptr<Kernel> train_local_avgpool(const TrainContext& context);
std::unique_ptr<Kernel> train_avgpool(const TrainContext& context);
std::unique_ptr<Kernel> train_route(const TrainContext& context);
std::unique_ptr<Kernel> train_upsample(const TrainContext& context);
std::unique_ptr<Kernel> train_permutation(const TrainContext& context);  // [reorg], [reorg3d]
std::unique_ptr<Kernel> train_crop(const TrainContext& context);
std::unique_ptr<Kernel> train_dropout(const TrainContext& context);
std::unique_ptr<Kernel> train_pass_through(const TrainContext& context);  // [empty], [cost]
std::unique_ptr<Kernel> train_shortcut(const TrainContext& context);
std::unique_ptr<Kernel> train_scale_channels(const TrainContext& context);
std::unique_ptr<Kernel> train_sam(const TrainContext& context);
std::unique_ptr<Kernel> train_implicit(const TrainContext& context);
std::unique_ptr<Kernel> train_normalization(const TrainContext& context);
std::unique_ptr<Kernel> train_head(const TrainContext& context);  // [yolo], [Gaussian_yolo], [softmax]
std::unique_ptr<Kernel> train_region(const TrainContext& context);
// Copies to the host, runs the layer's reference kernel there, and copies back.
std::unique_ptr<Kernel> train_by_reference(const TrainContext& context);

std::unique_ptr<Plan> make_train_plan(const Graph& graph, std::shared_ptr<const Parameters> parameters,
                                      std::shared_ptr<Engine> engine, const PlanOptions& options);
// Bytes on the device of such a plan and of the training state, without making them and without the memory that
// cuDNN's engines ask for.
std::size_t train_plan_bytes(const Graph& graph, const PlanOptions& options);

// -- memory ----------------------------------------------------------------------------------------------------------

// Hands out parts of a block of the device's memory; without one it counts what it would hand out.
class Parts {
public:
    explicit Parts(std::byte* block = nullptr) : block_(block) {}

    template <class T>
    T* take(std::size_t count) {
        std::byte* part = block_ ? block_ + bytes_ : nullptr;
        bytes_ += device_aligned(count * sizeof(T));
        return reinterpret_cast<T*>(part);
    }
    std::size_t bytes() const { return bytes_; }

private:
    std::byte* block_;
    std::size_t bytes_ = 0;
};

// What the kernel of a node with these tensors keeps.
Kept take_kept(Parts& parts, const Node& node, const std::vector<Tensor>& src, const Tensor& dst, DType compute);
// Scratch memory of such a kernel beside that of cuDNN's engine.
std::size_t train_scratch_bytes(const Node& node, const std::vector<Tensor>& src, const Tensor& dst, DType compute,
                                const DeltaFlow& flow);
// Beside both: tables, those of a [reorg] or [reorg3d] for both passes.
std::size_t train_table_bytes(const Node& node);

// -- helpers of the kernels ------------------------------------------------------------------------------------------

// A layer whose forward pass is that of inference, and whose backward pass are launches.
class TwoWay : public Kernel {
public:
    TwoWay(const TrainContext& context, std::unique_ptr<Kernel> inference)
        : back(context, ""), forward_(std::move(inference)) {}

    void forward() override { forward_->forward(); }
    void backward() override { back.forward(); }
    std::string what() const override { return forward_->what(); }

    Launches back;

private:
    std::unique_ptr<Kernel> forward_;
};

// Parts in which the sums over the pixels of a channel are made, each by a block of its own.
inline int chunks_of(const Tensor& tensor) {
    constexpr long long kPixels = 1024, kMost = 128;
    return static_cast<int>(std::clamp(pixels_of(tensor) / kPixels, 1LL, kMost));
}

inline Grid grid_of_sums(const Tensor& tensor) {
    return {tiles_of(tensor.shape.c), static_cast<unsigned>(chunks_of(tensor)), 1};
}

// The delta of the output becomes that of the activation's argument.
void add_slope(Launches& back, const TrainContext& context, Activation activation);
// Channels of the output's delta, from number `first` on, to the delta of an input, as many as `target` has.
void add_copy(Launches& back, const TrainContext& context, const Tensor& from, const Tensor& target, int channels,
              const float* factors, bool adds);

}  // namespace dn::cuda
