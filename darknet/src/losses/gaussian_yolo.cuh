// SPDX-License-Identifier: Apache-2.0
// What is [Gaussian_yolo]'s own in the loss of heads with anchors (arXiv 1904.04620): boxes are normal distributions,
// trained by their likelihood. Entries of a prediction: x, sigma x, y, sigma y, w, sigma w, h, sigma h, objectness,
// classes.
#pragma once

#include "losses/anchor_head.cuh"

namespace dn {

constexpr float kSigmaOffset = 0.3f, kTiny = 1e-9f, kSqrtTwoPi = 2.5066282746310002f;

DN_DEVICE Box gaussian_box(const AnchorHead& head, const Prediction& p) {
    const float w = expf(out(p, 4)) * p.prior_w, h = expf(out(p, 6)) * p.prior_h;
    return {(p.column + out(p, 0)) / head.width - head.corner * w, (p.row + out(p, 2)) / head.height - head.corner * h,
            w, h};
}

// The point of a truth whose cell is responsible for it.
DN_DEVICE Box gaussian_anchored(const AnchorHead& head, Box truth) {
    return {truth.x + head.corner * truth.w, truth.y + head.corner * truth.h, truth.w, truth.h};
}

DN_DEVICE void gaussian_measure(const AnchorHead& head, Box box, const TruthBox& truth, AssignmentSums& sums) {
    sums.iou += head.iou_loss == IouKind::mse ? iou(box, truth.box) : giou(box, truth.box);
}

// Of one coordinate: d/d(mean) and d/d(deviation).
struct Likelihood {
    float mean, deviation;
};

DN_DEVICE Likelihood likelihood(const Prediction& p, int entry, float target, float scale) {
    const float mean = out(p, entry), sigma = out(p, entry + 1);
    const float z = (target - mean) / sigma;
    const float density = expf(-z * z / 2) / (kSqrtTwoPi * (sigma + kSigmaOffset));
    const float weight = 0.5f * scale * density / (density + kTiny);
    return {weight * z / sigma, weight * (z * z / sigma - 1 / (sigma + kSigmaOffset))};
}

// The deviations have a normalizer of their own.
DN_DEVICE void add_likelihood(const AnchorHead& head, const Prediction& p, int entry, const Likelihood& g,
                              float normalizer) {
    delta(p, entry) += clamped(g.mean * normalizer, head.max_delta);
    delta(p, entry + 1) += clamped(g.deviation * head.uc_normalizer, head.max_delta);
}

// overlap: its gradient, unless the loss is mse.
DN_DEVICE void gaussian_box_rule(const AnchorHead& head, const Prediction& p, const TruthBox& truth,
                                 const BoxGradient& overlap, float normalizer) {
    const Box point = gaussian_anchored(head, truth.box);
    const float scale = 2 - truth.box.w * truth.box.h;
    Likelihood x = likelihood(p, 0, point.x * head.width - p.column, scale);
    Likelihood y = likelihood(p, 2, point.y * head.height - p.row, scale);
    Likelihood w = likelihood(p, 4, logf(truth.box.w / p.prior_w), scale);
    Likelihood h = likelihood(p, 6, logf(truth.box.h / p.prior_h), scale);
    if (head.iou_loss != IouKind::mse) {
        x.mean = overlap.x + head.corner * overlap.w;
        y.mean = overlap.y + head.corner * overlap.h;
        w.mean = overlap.w * expf(out(p, 4));
        h.mean = overlap.h * expf(out(p, 6));
    }
    add_likelihood(head, p, 0, x, normalizer);
    add_likelihood(head, p, 2, y, normalizer);
    add_likelihood(head, p, 4, w, normalizer);
    add_likelihood(head, p, 6, h, normalizer);
}

}  // namespace dn
