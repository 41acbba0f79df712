// SPDX-License-Identifier: Apache-2.0
// The loss of [region] (YOLOv2, arXiv 1612.08242): every box is first held against "no object" (punish), then every
// truth teaches a box of its cell (assign_truth). Entries of a box: x, y, w, h, objectness, classes.
#pragma once

#include "losses/truth.cuh"

namespace dn {

// A head as plain values. It stores cells x anchors x entries, one behind the other; where its planes have become
// pixels with their channels, `cells` says how many there are.
struct RegionHead {
    int width, height, anchors;
    int coords, classes, entries;
    int classfix;
    bool bias_match, rescore, focal_loss;
    bool warms_up;  // every box is also drawn to its anchor
    float thresh, coord_scale, object_scale, noobject_scale, class_scale;
    const float* sizes;  // (anchors, 2), in cells
    // Of the tree of classes; groups = 0: there is none.
    const int *parent, *group_offset, *group_size;
    int groups;

    const float* output;  // of the first image, and its gradient
    float* delta;
    long long image_step;
    int cells;  // 0: values stand where they are counted
};

constexpr float kWarmUpScale = 0.01f;

// A box of an image.
struct RegionPlace {
    int image, cell, anchor;
};

DN_DEVICE RegionPlace prediction_of(const RegionHead&, int image, int cell, int anchor) {
    return {image, cell, anchor};
}

DN_DEVICE long long index_of(const RegionHead& head, const RegionPlace& at, int entry) {
    const long long value = (static_cast<long long>(at.cell) * head.anchors + at.anchor) * head.entries + entry;
    const long long channels = static_cast<long long>(head.anchors) * head.entries;
    return at.image * head.image_step + (head.cells > 0 ? value % head.cells * channels + value / head.cells : value);
}

DN_DEVICE float out(const RegionHead& head, const RegionPlace& at, int entry) {
    return head.output[index_of(head, at, entry)];
}
DN_DEVICE float& delta(const RegionHead& head, const RegionPlace& at, int entry) {
    return head.delta[index_of(head, at, entry)];
}

DN_DEVICE float sigmoid(float x) { return 1 / (1 + expf(-x)); }

DN_DEVICE Box box_of(const RegionHead& head, const RegionPlace& at) {
    return {(at.cell % head.width + sigmoid(out(head, at, 0))) / head.width,
            (at.cell / head.width + sigmoid(out(head, at, 1))) / head.height,
            expf(out(head, at, 2)) * head.sizes[2 * at.anchor] / head.width,
            expf(out(head, at, 3)) * head.sizes[2 * at.anchor + 1] / head.height};
}

DN_DEVICE void box_rule(const RegionHead& head, const RegionPlace& at, Box truth, float scale) {
    const float x = sigmoid(out(head, at, 0)), y = sigmoid(out(head, at, 1));
    const float w = truth.w * head.width / head.sizes[2 * at.anchor];
    const float h = truth.h * head.height / head.sizes[2 * at.anchor + 1];
    delta(head, at, 0) = scale * (truth.x * head.width - at.cell % head.width - x) * x * (1 - x);
    delta(head, at, 1) = scale * (truth.y * head.height - at.cell / head.width - y) * y * (1 - y);
    delta(head, at, 2) = scale * (logf(w) - out(head, at, 2));
    delta(head, at, 3) = scale * (logf(h) - out(head, at, 3));
}

// Of the tree's class.
DN_DEVICE int group_of(const RegionHead& head, int class_id) {
    int group = 0;
    while (group + 1 < head.groups && head.group_offset[group + 1] <= class_id) ++group;
    return group;
}

// Every group of siblings on the path from the class to the root.
DN_DEVICE void tree_rule(const RegionHead& head, const RegionPlace& at, int class_id, float scale) {
    const int classes = head.coords + 1;
    for (int node = class_id; node >= 0; node = head.parent[node]) {
        const int group = group_of(head, node), first = head.group_offset[group];
        for (int c = first; c < first + head.group_size[group]; ++c)
            delta(head, at, classes + c) = scale * ((c == node ? 1 : 0) - out(head, at, classes + c));
    }
}

DN_DEVICE void class_rule(const RegionHead& head, const RegionPlace& at, int class_id, float scale) {
    if (head.groups > 0) {
        tree_rule(head, at, class_id, scale);
        return;
    }
    const int classes = head.coords + 1;
    if (head.focal_loss) {
        const float pt = out(head, at, classes + class_id) + 1e-15f;
        scale *= 0.5f * -(1 - pt) * (2 * pt * logf(pt) + pt - 1);
    }
    for (int c = 0; c < head.classes; ++c)
        delta(head, at, classes + c) = scale * ((c == class_id ? 1 : 0) - out(head, at, classes + c));
}

DN_DEVICE void punish(const RegionHead& head, const RegionPlace& at, const TruthBox* truths, int count) {
    const Box box = box_of(head, at);
    int best_truth = -1;
    float best = 0;
    for (int t = 0; t < count; ++t) {
        const float value = iou(box, truths[t].box);
        if (value > best) {
            best = value;
            best_truth = t;
        }
    }
    const int objectness = head.coords;
    const float o = out(head, at, objectness);
    delta(head, at, objectness) = head.noobject_scale * (0 - o) * o * (1 - o);
    if (head.classfix == -1) {
        delta(head, at, objectness) = head.noobject_scale * (best - o) * o * (1 - o);
    } else if (best > head.thresh) {
        delta(head, at, objectness) = 0;
        if (head.classfix > 0 && best_truth >= 0)
            class_rule(head, at, truths[best_truth].class_id, head.class_scale * (head.classfix == 2 ? o : 1));
    }
    if (!head.warms_up) return;
    const Box prior{(at.cell % head.width + 0.5f) / head.width, (at.cell / head.width + 0.5f) / head.height,
                    head.sizes[2 * at.anchor] / head.width, head.sizes[2 * at.anchor + 1] / head.height};
    box_rule(head, at, prior, kWarmUpScale);
}

DN_DEVICE int cell_of(const RegionHead& head, const TruthBox& truth) {
    const int column = within(static_cast<int>(truth.box.x * head.width), head.width);
    return within(static_cast<int>(truth.box.y * head.height), head.height) * head.width + column;
}

// The anchor whose box, or with bias_match whose size, fits the truth's size best.
DN_DEVICE int best_anchor(const RegionHead& head, int image, int cell, Box truth) {
    int best = 0;
    float best_iou = 0;
    for (int anchor = 0; anchor < head.anchors; ++anchor) {
        Box box = box_of(head, {image, cell, anchor});
        if (head.bias_match) {
            box.w = head.sizes[2 * anchor] / head.width;
            box.h = head.sizes[2 * anchor + 1] / head.height;
        }
        const float value = iou({0, 0, box.w, box.h}, {0, 0, truth.w, truth.h});
        if (value > best_iou) {
            best_iou = value;
            best = anchor;
        }
    }
    return best;
}

DN_DEVICE void assign_truth(const RegionHead& head, int image, const TruthBox& truth, AssignmentSums& sums) {
    const int cell = cell_of(head, truth), objectness = head.coords;
    const RegionPlace at{image, cell, best_anchor(head, image, cell, truth.box)};
    const float overlap = iou(box_of(head, at), truth.box);
    box_rule(head, at, truth.box, head.coord_scale);
    const float o = out(head, at, objectness), target = head.rescore ? overlap : 1;
    delta(head, at, objectness) = head.object_scale * (target - o) * o * (1 - o);
    class_rule(head, at, truth.class_id, head.class_scale);
    ++sums.count;
    sums.iou += overlap;
}

}  // namespace dn
