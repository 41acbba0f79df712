// SPDX-License-Identifier: Apache-2.0
// A [yolo] or [Gaussian_yolo] head in training as plain values: its options and its predictions.
#pragma once

#include "losses/overlap.cuh"
#include "losses/truth.cuh"

namespace dn {

struct AnchorHead {
    int width, height;  // of the grid
    int anchors;        // at each cell
    int num;            // anchors of all heads
    int classes, entries;
    bool gaussian, new_coords, objectness_smooth, focal_loss;
    bool weighs_classes;  // counters_per_class is given
    IouKind iou_loss, iou_thresh_kind;
    float ignore_thresh, truth_thresh, iou_thresh;
    float iou_normalizer, obj_normalizer, cls_normalizer, uc_normalizer;
    float max_delta, label_smooth;
    float corner;              // [Gaussian_yolo]: the predicted point is centre + corner * size
    const float* priors;       // (num, 2): sizes of the anchors, relative to the network's input
    const int* mask;           // anchors of this head
    const float* multipliers;  // by class

    const float* output;  // of the first image, and its gradient
    float* delta;
    long long image_step, cell_step, entry_step;  // between values; those of an anchor follow each other by entry_step
};

// Entries: the box, objectness, classes.
DN_DEVICE int objectness_of(const AnchorHead& head) { return head.gaussian ? 8 : 4; }
DN_DEVICE int classes_of(const AnchorHead& head) { return objectness_of(head) + 1; }

// One anchor at one cell.
struct Prediction {
    const float* output;
    float* delta;
    long long step;  // from entry to entry
    float prior_w, prior_h;
    int row, column;
};

DN_DEVICE float out(const Prediction& p, int entry) { return p.output[entry * p.step]; }
DN_DEVICE float& delta(const Prediction& p, int entry) { return p.delta[entry * p.step]; }

DN_DEVICE Prediction prediction_of(const AnchorHead& head, int image, int cell, int anchor_slot) {
    const long long base =
        image * head.image_step + cell * head.cell_step + anchor_slot * (head.entries * head.entry_step);
    const float* prior = head.priors + 2 * head.mask[anchor_slot];
    return {head.output + base, head.delta + base, head.entry_step,  prior[0],
            prior[1],           cell / head.width, cell % head.width};
}

// NaN and Inf become 0.
DN_DEVICE float clamped(float gradient, float max_delta) {
    const float zero = gradient - gradient;
    if (!(zero == 0)) return 0;
    return gradient < -max_delta ? -max_delta : max_delta < gradient ? max_delta : gradient;
}

}  // namespace dn
