// SPDX-License-Identifier: Apache-2.0
// Keys and shapes common to [yolo] and [Gaussian_yolo].
#pragma once

#include "head.hpp"

namespace dn {

// Reads every key that both know. nms_kind differs and is left to the caller.
void read_yolo(CfgOptions& options, YoloParams& params);
void infer_yolo(const Graph& graph, Node& node);
// Sets what is the same for both as layers.
void define_yolo(LayerDef& layer);

}  // namespace dn
