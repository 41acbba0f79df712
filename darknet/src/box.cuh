// SPDX-License-Identifier: Apache-2.0
// Boxes and how much two of them overlap, for detections and losses, on host and device.
#pragma once

#include "device.cuh"

namespace dn {

struct Box {
    float x, y, w, h;  // centre form
};

enum class IouKind { iou, giou, diou, ciou, mse };

DN_DEVICE float smaller(float a, float b) { return b < a ? b : a; }
DN_DEVICE float larger(float a, float b) { return a < b ? b : a; }

// Length of the common part of two intervals given by centre and length; negative when they are apart.
DN_DEVICE float common_length(float x1, float w1, float x2, float w2) {
    const float left = larger(x1 - w1 / 2, x2 - w2 / 2);
    const float right = smaller(x1 + w1 / 2, x2 + w2 / 2);
    return right - left;
}

// Side of the smallest interval around both.
DN_DEVICE float hull(float x1, float w1, float x2, float w2) {
    const float left = smaller(x1 - w1 / 2, x2 - w2 / 2);
    const float right = larger(x1 + w1 / 2, x2 + w2 / 2);
    return right - left;
}

DN_DEVICE float iou(Box a, Box b) {
    const float w = common_length(a.x, a.w, b.x, b.w), h = common_length(a.y, a.h, b.y, b.h);
    if (w < 0 || h < 0) return 0;
    const float common = w * h;
    const float together = a.w * a.h + b.w * b.h - common;
    return common == 0 || together == 0 ? 0 : common / together;
}

DN_DEVICE float diou(Box a, Box b, float beta) {
    const float cw = hull(a.x, a.w, b.x, b.w), ch = hull(a.y, a.h, b.y, b.h);
    const float diagonal = cw * cw + ch * ch;
    if (diagonal == 0) return iou(a, b);
    const float distance = (a.x - b.x) * (a.x - b.x) + (a.y - b.y) * (a.y - b.y);
    return iou(a, b) - static_cast<float>(pow(static_cast<double>(distance / diagonal), static_cast<double>(beta)));
}

}  // namespace dn
