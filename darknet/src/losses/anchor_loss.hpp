// SPDX-License-Identifier: Apache-2.0
// The loss of [yolo] and [Gaussian_yolo] in front of and behind its loops over predictions and truths
// (anchor_rules.cuh), which run on the host or on a device.
#pragma once

#include "anchor_head.cuh"
#include "truths.hpp"

namespace dn {

LossTables anchor_tables(const YoloParams& params, Shape net_input);
// With these tables, without output and delta.
AnchorHead anchor_head(const Node& node, const float* floats, const int* ints);

// Of a mini-batch, from the sum of all squared deltas and that of the boxes'.
LossReport anchor_report(const YoloParams& params, const AssignmentSums& sums, double all, double boxes);

}  // namespace dn
