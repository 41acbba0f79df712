// SPDX-License-Identifier: Apache-2.0
// Losses of a training plan. Those of [yolo], [Gaussian_yolo] and [region] are computed on the device: truths go up,
// and what is reported comes down. Others are computed on the host: outputs come down, deltas go up.
#pragma once

#include <memory>

#include "../kernels/losses.cuh"
#include "train.hpp"

namespace dn::cuda {

// What a loss keeps on the device beside the output of its layer and the delta of that. Null: nothing.
struct LossParts {
    float* delta = nullptr;   // of this loss alone
    float* floats = nullptr;  // of its LossTables
    int* ints = nullptr;      // likewise
    SquareSums* squares = nullptr;
    LossTotals* totals = nullptr;
};
LossParts take_loss(Parts& parts, const Node& node, const Tensor& output, Shape net_input);
// Scratch memory that it uses.
std::size_t loss_scratch_bytes(const Node& node, const Tensor& output);

struct LossLayer {
    const Node& node;
    Tensor output;
    bool receives = false;  // other layers write the delta of the output, too
    Shape net_input;
    LossParts parts;
};

// A pass calls the functions in the order in which they stand here.
class HeadLoss {
public:
    HeadLoss(const LossLayer& layer, const CudaTrainState& state, Runtime& runtime);
    virtual ~HeadLoss() = default;
    HeadLoss(const HeadLoss&) = delete;
    HeadLoss& operator=(const HeadLoss&) = delete;

    int node() const { return layer_.node.index; }
    // Whether launch() waits for the stream, and so cannot be part of a launch graph.
    virtual bool on_host() const = 0;
    // Takes the truths. True: launches that were captured before must be captured again.
    virtual bool prepare(const LossContext& context) = 0;
    virtual void launch() = 0;
    // The delta, times the loss scale, joins what other layers have written.
    virtual void pass_back() = 0;
    // The stream was waited for.
    virtual LossReport report() const = 0;
    virtual void read_delta(float* planes) const = 0;

protected:
    void pass_back(const float* delta) const;  // dense, as the output

    const LossLayer layer_;
    Runtime& runtime_;

private:
    const float* scale_;
    Launch<LossDeltaArgs> pass_back_;
};

std::unique_ptr<HeadLoss> make_loss(const LossLayer& layer, const CudaTrainState& state, Runtime& runtime);

}  // namespace dn::cuda
