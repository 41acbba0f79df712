// SPDX-License-Identifier: Apache-2.0
// Overlap metrics for training and their gradients as Darknet has them (GIoU: arXiv 1902.09630, DIoU and CIoU:
// arXiv 1911.08287; where Darknet deviates from the papers the deviation is kept, for it shapes trained models).
#pragma once

#include "../detect.hpp"

namespace dn {

struct BoxGradient {
    float x = 0, y = 0, w = 0, h = 0;
};

float giou(Box a, Box b);
float ciou(Box prediction, Box truth);
float overlap(IouKind kind, Box prediction, Box truth);  // mse: plain IoU
// d(metric)/d(prediction), without the factors of the box decoding.
BoxGradient iou_gradient(IouKind kind, Box prediction, Box truth);

}  // namespace dn
