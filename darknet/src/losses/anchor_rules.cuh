// SPDX-License-Identifier: Apache-2.0
// The loss of heads with anchors, [yolo] and [Gaussian_yolo]: which prediction learns what. Every prediction is first
// held against "no object" (punish), then every truth against the predictions of its cell (assign_truth); at last boxes
// that learned several truths are averaged (average_box). Each of these changes the deltas of one prediction, or of
// those of one cell, so that others may be worked on at the same time; truths of one cell keep their order.
#pragma once

#include "losses/gaussian_yolo.cuh"
#include "losses/yolo.cuh"

namespace dn {

// A class output above it lets a confident box near a truth go unpunished.
constexpr float kClassMatch = 0.25f;

DN_DEVICE Box box_of(const AnchorHead& head, const Prediction& p) {
    return head.gaussian ? gaussian_box(head, p) : yolo_box(head, p);
}

// Focal loss (arXiv 1708.02002), alpha 0.5, gamma 2.
DN_DEVICE void focal_rule(const AnchorHead& head, const Prediction& p, int class_id) {
    const int classes = classes_of(head);
    const float pt = out(p, classes + class_id) + 1e-15f;
    const float gradient = -(1 - pt) * (2 * pt * logf(pt) + pt - 1);
    for (int c = 0; c < head.classes; ++c)
        delta(p, classes + c) = 0.5f * gradient * ((c == class_id ? 1.f : 0.f) - out(p, classes + c));
}

DN_DEVICE void class_rule(const AnchorHead& head, const Prediction& p, int class_id) {
    const int classes = classes_of(head), own = classes + class_id;
    const float smooth = head.label_smooth;
    const float positive = 1 - smooth + smooth / 2, negative = smooth / 2;
    // A second truth on one prediction: both classes are right. In Gaussian heads Darknet asks class 0 whether there
    // was a first.
    if (delta(p, head.gaussian ? classes : own) != 0) {
        delta(p, own) = (positive - out(p, own)) * head.multipliers[class_id];
        return;
    }
    if (head.focal_loss && !head.gaussian) {
        focal_rule(head, p, class_id);
        return;
    }
    for (int c = 0; c < head.classes; ++c)
        delta(p, classes + c) = (c == class_id ? positive : negative) - out(p, classes + c);
    // cls_normalizer acts only together with counters_per_class, as in Darknet.
    if (head.weighs_classes) delta(p, own) *= head.multipliers[class_id] * head.cls_normalizer;
}

// Adds to the deltas of the box.
DN_DEVICE void box_rule(const AnchorHead& head, const Prediction& p, const TruthBox& truth, float normalizer) {
    BoxGradient g{0, 0, 0, 0};
    if (head.iou_loss != IouKind::mse) {
        Box box = box_of(head, p);
        if (box.w == 0) box.w = 1;
        if (box.h == 0) box.h = 1;
        g = iou_gradient(head.iou_loss, box, truth.box);
    }
    if (head.gaussian)
        gaussian_box_rule(head, p, truth, g, normalizer);
    else if (head.iou_loss == IouKind::mse)
        yolo_mse(head, p, truth, normalizer);
    else
        yolo_box_rule(head, p, g, normalizer);
}

DN_DEVICE bool has_class(const AnchorHead& head, const Prediction& p) {
    const int classes = classes_of(head);
    for (int c = 0; c < head.classes; ++c)
        if (out(p, classes + c) > kClassMatch) return true;
    return false;
}

// A prediction that overlaps a truth by more than ignore_thresh; its objectness already tends to 0.
DN_DEVICE void ignore(const AnchorHead& head, const Prediction& p, const TruthBox& truth, float overlap) {
    if (!head.gaussian) {
        yolo_ignore(head, p, overlap);
        return;
    }
    const int objectness = objectness_of(head);
    delta(p, objectness) = 0;
    if (!head.objectness_smooth) return;
    delta(p, objectness) = head.obj_normalizer * (overlap * overlap - out(p, objectness));
    class_rule(head, p, truth.class_id);
}

// A prediction so close to a truth (truth_thresh) that it counts as its own.
DN_DEVICE void accept(const AnchorHead& head, const Prediction& p, const TruthBox& truth, float overlap) {
    const int objectness = objectness_of(head), own = classes_of(head) + truth.class_id;
    const float multiplier = head.multipliers[truth.class_id];
    const float target = head.objectness_smooth ? overlap * overlap : 1;
    delta(p, objectness) = head.obj_normalizer * (target - out(p, objectness));
    class_rule(head, p, truth.class_id);
    if (head.objectness_smooth) delta(p, own) = multiplier * (target - out(p, own));
    box_rule(head, p, truth, head.iou_normalizer * multiplier);
}

// Objectness towards 0, unless the box overlaps one of the image's truths well enough.
DN_DEVICE void punish(const AnchorHead& head, const Prediction& p, const TruthBox* truths, int count) {
    const int objectness = objectness_of(head);
    const Box box = box_of(head, p);
    int best_truth = -1;
    float best = 0;
    for (int t = 0; t < count; ++t) {
        const float value = iou(box, truths[t].box);
        if (value > best) {
            best = value;
            best_truth = t;
        }
    }
    delta(p, objectness) = head.obj_normalizer * (0 - out(p, objectness));
    if (best_truth < 0) return;
    if (best > head.ignore_thresh && has_class(head, p)) ignore(head, p, truths[best_truth], best);
    if (best > head.truth_thresh) accept(head, p, truths[best_truth], best);
}

// The cell that is responsible for a truth.
DN_DEVICE int cell_of(const AnchorHead& head, const TruthBox& truth) {
    const Box point = head.gaussian ? gaussian_anchored(head, truth.box) : truth.box;
    const int column = within(static_cast<int>(point.x * head.width), head.width);
    return within(static_cast<int>(point.y * head.height), head.height) * head.width + column;
}

DN_DEVICE Box prior_of(const AnchorHead& head, int anchor) {
    return {0, 0, head.priors[2 * anchor], head.priors[2 * anchor + 1]};
}

// The anchor, among those of all heads, that fits the size best.
DN_DEVICE int best_anchor(const AnchorHead& head, Box size) {
    int best = 0;
    float best_iou = 0;
    for (int anchor = 0; anchor < head.num; ++anchor) {
        const float value = iou(prior_of(head, anchor), size);
        if (value > best_iou) {
            best_iou = value;
            best = anchor;
        }
    }
    return best;
}

DN_DEVICE void assign(const AnchorHead& head, const Prediction& p, const TruthBox& truth, AssignmentSums& sums) {
    const int objectness = objectness_of(head);
    const float multiplier = head.multipliers[truth.class_id];
    ++sums.count;
    if (head.gaussian)
        gaussian_measure(head, box_of(head, p), truth, sums);
    else
        yolo_measure(head, p, box_of(head, p), truth, sums);
    box_rule(head, p, truth, head.iou_normalizer * multiplier);
    if (head.gaussian || !head.objectness_smooth || delta(p, objectness) == 0)
        delta(p, objectness) = multiplier * head.obj_normalizer * (1 - out(p, objectness));
    class_rule(head, p, truth.class_id);
}

// The place of an anchor in the mask; head.anchors where it is another head's.
DN_DEVICE int slot_of(const AnchorHead& head, int anchor) {
    int slot = 0;
    while (slot < head.anchors && head.mask[slot] != anchor) ++slot;
    return slot;
}

// The best anchor, and with iou_thresh every other that fits well, learn the truth.
DN_DEVICE void assign_truth(const AnchorHead& head, int image, const TruthBox& truth, AssignmentSums& sums) {
    const int cell = cell_of(head, truth);
    const Box size{0, 0, truth.box.w, truth.box.h};
    const int best = best_anchor(head, size);
    for (int k = -1; k < head.anchors; ++k) {  // -1: the best, which is the first to learn
        const int slot = k < 0 ? slot_of(head, best) : k;
        const bool fits = k < 0
                              ? slot < head.anchors
                              : head.iou_thresh < 1 && head.mask[k] != best &&
                                    overlap(head.iou_thresh_kind, prior_of(head, head.mask[k]), size) > head.iou_thresh;
        if (fits) assign(head, prediction_of(head, image, cell, slot), truth, sums);
    }
}

// Several truths of different classes on one prediction: their box gradients are averaged.
DN_DEVICE bool averages_boxes(const AnchorHead& head) { return head.iou_thresh < 1 || head.gaussian; }

DN_DEVICE void average_box(const AnchorHead& head, const Prediction& p) {
    const int objectness = objectness_of(head), classes = classes_of(head);
    if (!head.gaussian && delta(p, objectness) == 0) return;
    bool learned = false;
    for (int e = 0; e < objectness; ++e) learned = learned || delta(p, e) != 0;
    if (!learned) return;  // nothing to average, as for most predictions
    int positives = 0;
    for (int c = 0; c < head.classes; ++c) positives += delta(p, classes + c) > 0;
    for (int e = 0; e < objectness && positives > 0; ++e) delta(p, e) /= positives;
}

}  // namespace dn
