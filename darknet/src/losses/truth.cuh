// SPDX-License-Identifier: Apache-2.0
// What all losses of heads know of a truth.
#pragma once

#include "box.cuh"

namespace dn {

struct TruthBox {
    Box box;
    int class_id;
};

// What a loss counts of predictions that are given a truth.
struct AssignmentSums {
    float iou, distance;  // distance: 1 - IoU (or GIoU)
    int count, rewritten;
};

// Number of a row or column, of which there are `limit`.
DN_DEVICE int within(int value, int limit) { return value < 0 ? 0 : value < limit ? value : limit - 1; }

}  // namespace dn
