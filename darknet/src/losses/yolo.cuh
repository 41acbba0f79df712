// SPDX-License-Identifier: Apache-2.0
// What is [yolo]'s own in the loss of heads with anchors. Entries of a prediction: x, y, w, h, objectness, classes.
#pragma once

#include "losses/anchor_head.cuh"

namespace dn {

DN_DEVICE Box yolo_box(const AnchorHead& head, const Prediction& p) {
    const float w = out(p, 2), h = out(p, 3);
    return {(p.column + out(p, 0)) / head.width, (p.row + out(p, 1)) / head.height,
            head.new_coords ? 4 * w * w * p.prior_w : expf(w) * p.prior_w,
            head.new_coords ? 4 * h * h * p.prior_h : expf(h) * p.prior_h};
}

DN_DEVICE void yolo_ignore(const AnchorHead& head, const Prediction& p, float overlap) {
    constexpr int objectness = 4;
    const float towards_iou = head.obj_normalizer * (overlap - out(p, objectness));
    if (!head.objectness_smooth)
        delta(p, objectness) = 0;
    else if (towards_iou > delta(p, objectness))
        delta(p, objectness) = towards_iou;
}

DN_DEVICE void yolo_measure(const AnchorHead& head, const Prediction& p, Box box, const TruthBox& truth,
                            AssignmentSums& sums) {
    sums.rewritten += delta(p, 0) != 0 || delta(p, 1) != 0 || delta(p, 2) != 0 || delta(p, 3) != 0;
    const float value = iou(box, truth.box);
    sums.iou += value;
    sums.distance += 1 - (head.iou_loss == IouKind::giou ? giou(box, truth.box) : value);
}

DN_DEVICE void yolo_mse(const AnchorHead& head, const Prediction& p, const TruthBox& truth, float normalizer) {
    const float scale = (2 - truth.box.w * truth.box.h) * normalizer;
    const float w = truth.box.w / p.prior_w, h = truth.box.h / p.prior_h;
    delta(p, 0) += scale * (truth.box.x * head.width - p.column - out(p, 0));
    delta(p, 1) += scale * (truth.box.y * head.height - p.row - out(p, 1));
    delta(p, 2) += scale * ((head.new_coords ? sqrtf(w / 4) : logf(w)) - out(p, 2));
    delta(p, 3) += scale * ((head.new_coords ? sqrtf(h / 4) : logf(h)) - out(p, 3));
}

// g: of the overlap, for other losses than mse.
DN_DEVICE void yolo_box_rule(const AnchorHead& head, const Prediction& p, BoxGradient g, float normalizer) {
    if (!head.new_coords) {
        g.w *= expf(out(p, 2));
        g.h *= expf(out(p, 3));
    }
    delta(p, 0) += clamped(g.x * normalizer, head.max_delta);
    delta(p, 1) += clamped(g.y * normalizer, head.max_delta);
    delta(p, 2) += clamped(g.w * normalizer, head.max_delta);
    delta(p, 3) += clamped(g.h * normalizer, head.max_delta);
}

}  // namespace dn
