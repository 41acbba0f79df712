// SPDX-License-Identifier: Apache-2.0
// Losses of the heads and their gradients with respect to the head's stored output. One definition,
// plain float32 loops, used by every backend; a device runs those of anchor_rules.cuh. Sign and scale are Darknet's:
// delta = -dLoss/dOutput.
#pragma once

#include <cstdint>
#include <string>

#include "../graph.hpp"

namespace dn {

// Values of a truth of detectors.
constexpr std::size_t kTruthRow = 6;

// Ground truth of a mini-batch. Detectors: `stride` = boxes*kTruthRow values an image, rows x, y, w, h (relative,
// centre form), class, track id, ended by a row with x = 0. Classifiers: one value per class.
struct Truths {
    const float* data = nullptr;  // (n, stride)
    int n = 0;
    std::size_t stride = 0;
    const float* of(int image) const { return data + image * stride; }
};

struct LossContext {
    Truths truths;
    Shape net_input;         // anchors are in pixels of it
    std::uint64_t seen = 0;  // images trained on, those of this mini-batch included; region layers warm up by it
    int threads = 1;         // that may work on a loss; its bits do not depend on them
};

// The numbers of Darknet's training log line for one head and one mini-batch.
struct LossReport {
    float cost = 0;        // what the network's cost averages
    float total_loss = 0;  // sum of delta^2 over the mini-batch
    float class_loss = 0;  // its part that is not boxes, objectness included
    float iou_loss = 0;    // its box part
    float iou_sum = 0;     // of predictions with their truths
    int count = 0;         // predictions assigned to a truth
    int rewritten = 0;     // of them, assigned before in this mini-batch
};

// Fills `delta` (n, outputs), zeroed by the caller, from `output` (n, outputs) as the head stores it.
LossReport anchor_loss(const Node& node, const LossContext& context, const float* output,
                       float* delta);  // [yolo], [Gaussian_yolo]
LossReport region_loss(const Node& node, const LossContext& context, const float* output, float* delta);
LossReport softmax_loss(const Node& layer, const LossContext& context, const float* output, float* delta);
LossReport cost_loss(const Node& layer, const LossContext& context, const float* output, float* delta);

// Throws Error(invalid_argument) unless the truths of an image are as many values as the loss of this node reads.
void check_truths(const Node& node, const Truths& truths);
// Throws Error(cfg) for a layer whose part in training does not exist here.
void check_trainable(const Node& node);
// Throws Error(cfg) also where no layer has a loss.
void check_trainable(const Graph& graph);

// Dispatches on the node's kind; the truths were checked.
LossReport loss(const Node& node, const LossContext& context, const float* output, float* delta);
bool owns_cost(const Node& node);

}  // namespace dn
