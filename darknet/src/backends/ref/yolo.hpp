// SPDX-License-Identifier: Apache-2.0
// The forward pass that [yolo] and [Gaussian_yolo] have in common.
#pragma once

#include "../../layers/params.hpp"
#include "../../tensor.hpp"

namespace dn::ref {

// Which of an anchor's entries are the box's coordinates.
struct BoxEntries {
    int x, y, w, h;
};

// Logistic on all entries but w and h, unless new_coords says that the layer before did it; then x and y grow by
// scale_x_y around the cell's middle. One image, planes ((anchor, entry), h, w), in place.
void activate_boxes(const YoloParams& params, BoxEntries at, float* planes, Shape shape);

}  // namespace dn::ref
