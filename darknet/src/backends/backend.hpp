// SPDX-License-Identifier: Apache-2.0
// The contract between a network and what computes it. A backend turns a graph and its parameters into a Plan: an
// executable for one batch size and one input size. Nothing outside backends/ knows layouts, oneDNN or CUDA.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "../detect.hpp"
#include "../image.hpp"
#include "../losses/loss.hpp"
#include "../parameters.hpp"
#include "../tile.hpp"
#include "precision.hpp"
#include "train_state.hpp"

namespace dn {

// What a training plan works on besides its activations.
struct Training {
    TrainState* state = nullptr;  // of the same backend. Forward moves its rolling statistics, backward its gradients
    int frozen_before = 0;        // nodes in front of it run as in inference and get no gradient
};

// How a backend computes convolutions for which it has several ways; others keep their only one.
enum class ConvMethod {
    automatic,  // by shape and instruction set
    direct,     // as sums of products, by oneDNN
    products,   // the same, by loops of our own
    winograd2,
    winograd4,  // 3x3 with stride 1: tiles of 2x2 or 4x4 outputs, with fewer products
};

struct PlanOptions {
    int batch = 1;
    int threads = 1;
    Precision precision = Precision::automatic;
    const Training* training = nullptr;  // batch statistics, every activation kept, backward available
    // Outputs that read() must serve. Inference plans may overwrite or fuse away all others; empty: the heads, or the
    // network's output where it has none.
    std::vector<int> wanted;
    ConvMethod convolutions = ConvMethod::automatic;
};

struct LayerTime {
    int node;
    std::string what;  // for example "brgconv:avx512_core_bf16"
    double seconds;    // of the last forward
};

class Plan {
public:
    // The graph outlives the plan.
    Plan(const Graph& graph, int batch) : source_(graph), images_(batch) {}
    virtual ~Plan() = default;
    Plan(const Plan&) = delete;
    Plan& operator=(const Plan&) = delete;
    // Where the caller writes float32 planes (n, c, h, w) in 0..1. Call it before each forward(); it may wait for one.
    virtual float* input() = 0;
    // Lets the next forward() read these planes of a whole batch in place of input()'s; false: copy them there instead.
    virtual bool read_from(const float* planes);
    // In front of a forward(): the planes that the one after it will be given, which stay as they are. A plan may copy
    // them while it computes; read_from() then returns true for them.
    virtual void announce(const float* planes);
    // Fits n images, at most the batch, to the network's size and makes them the first of the next forward().
    virtual void load(const ImageView* images, int n, bool letterbox);
    // Copies the tiles of a whole batch, which the next forward() composes; the caller has checked them. Training plans
    // alone. Throws Error(backend): this one takes planes.
    virtual void compose(const Tile* tiles, int count);
    virtual void forward() = 0;  // may return before it is done: read() and candidates() wait, and throw its errors
    // Copies a wanted node's output as float32 (n, c, h, w) into dst.
    virtual void read(int node, float* dst) const = 0;
    // What the heads found in the first images of the last forward(), one list for each of the options, before NMS.
    virtual std::vector<std::vector<Candidate>> candidates(const std::vector<DecodeOptions>& options) const;
    // Training plans only, after forward(): the losses of all layers that own one into `reports` (by node), then the
    // gradients of everything behind the frozen layers.
    virtual void backward(const LossContext& context, std::vector<LossReport>& reports);
    // The gradient of a node's output, as read() gives the output.
    virtual void read_delta(int node, float* dst) const;
    virtual Precision precision() const = 0;  // not `automatic`, but what it became
    virtual std::size_t activation_bytes() const = 0;
    // Runs one forward with a clock around every step.
    virtual std::vector<LayerTime> profile() = 0;

private:
    const Graph& source_;  // as given; a plan may compute another
    const int images_;
};

class Backend {
public:
    virtual ~Backend() = default;
    virtual std::string name() const = 0;
    // What computes, as far as the rounding of results depends on it: an instruction set, a device and its libraries.
    virtual std::string device() const { return ""; }
    // All that it computes in on this device, and what `automatic` becomes here.
    virtual std::vector<PrecisionChoice> precisions() const { return {{Precision::f32, ""}}; }
    virtual PrecisionChoice automatic() const { return precisions().front(); }
    // The entry of precisions() that was asked for, or automatic(). Throws Error(backend) with the list.
    PrecisionChoice resolve(Precision asked) const;
    // The graph and parameters outlive the plan. Throws Error(backend) for what this backend cannot do.
    virtual std::unique_ptr<Plan> compile(const Graph& graph, const std::shared_ptr<const Parameters>& parameters,
                                          const PlanOptions& options) const = 0;
    // Bytes that a plan with these options takes of the memory that free_bytes() is of, without making it: activations,
    // weights as it packs them and, in training, what the TrainState has not taken yet (null: all). Parameters of the
    // network are not among them.
    virtual std::size_t plan_bytes(const Graph& graph, const PlanOptions& options) const = 0;
    // The most scratch memory that libraries may take beside plan_bytes(); how much they do is known when plans are
    // made.
    virtual std::size_t most_scratch_bytes(const Graph&) const { return 0; }
    // What the plans of a backend can still take of their memory; 0 where the system does not report it.
    virtual std::size_t free_bytes() const = 0;
    // What training plans of this backend work on, begun from the parameters. It updates on as many threads.
    virtual std::shared_ptr<TrainState> train_state(const Graph& graph, const std::shared_ptr<Parameters>& parameters,
                                                    int threads) const = 0;
};

}  // namespace dn
