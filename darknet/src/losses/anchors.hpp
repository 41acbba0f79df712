// SPDX-License-Identifier: Apache-2.0
// Shared by the losses of yolo and gaussian_yolo: addressing a head's planes, truths, class multipliers, anchor choice.
#pragma once

#include <vector>

#include "../detect.hpp"
#include "loss.hpp"

namespace dn {

struct TruthBox {
    Box box;
    int class_id;
};

// The valid truths of one image; rows with a class outside the head's are left out.
std::vector<TruthBox> truths_of(const Truths& truths, int image, int classes);

// One (cell, anchor slot) of a head's planes: entry e is at base + e*step.
struct Slot {
    const float* output;
    float* delta;
    std::size_t step;  // h*w
    float out(int entry) const { return output[entry * step]; }
    float& d(int entry) const { return delta[entry * step]; }
};

struct Head {
    const YoloParams& params;
    Shape grid;   // (n*(entries)), h, w of the head
    Shape input;  // of the network
    const float* output = nullptr;
    float* delta = nullptr;  // both of one image

    Slot slot(int anchor_slot, int row, int column) const;
    Box anchor(int index) const;  // at the origin, relative to the input
};

// Index of the anchor, among all of the head's, that fits the truth's size best.
int best_anchor(const Head& head, Box truth);
// min(max(n)/n_c, max_delta) for each class, or 1.
std::vector<float> class_multipliers(const YoloParams& params);
float clamped(float gradient, float max_delta);  // NaN and Inf become 0

}  // namespace dn
