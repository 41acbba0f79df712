// SPDX-License-Identifier: Apache-2.0
#include "anchor_loss.hpp"

#include <algorithm>
#include <utility>

#include "anchor_rules.cuh"

namespace dn {
namespace {

// min(max(n)/n_c, max_delta) for each class, or 1.
std::vector<float> class_multipliers(const YoloParams& params) {
    std::vector<float> multipliers(params.classes, 1);
    if (params.counters_per_class.empty()) return multipliers;
    const auto count = [&](int i) { return static_cast<float>(std::max(1, params.counters_per_class[i])); };
    float largest = 1;
    for (int i = 0; i < params.classes; ++i) largest = std::max(largest, count(i));
    for (int i = 0; i < params.classes; ++i) multipliers[i] = std::min(largest / count(i), params.max_delta);
    return multipliers;
}

float corner_of(YoloPoint point) {
    return point == YoloPoint::left_top ? -0.5f : point == YoloPoint::right_bottom ? 0.5f : 0.f;
}

// On planes of the host, one behind the other.
AnchorHead head_on(const Node& node, const LossTables& tables, const float* output, float* delta) {
    AnchorHead head = anchor_head(node, tables.floats.data(), tables.ints.data());
    head.output = output;
    head.delta = delta;
    head.image_step = static_cast<long long>(node.out.size());
    head.cell_step = 1;
    head.entry_step = static_cast<long long>(head.width) * head.height;
    return head;
}

template <class Visit>
void for_predictions(const AnchorHead& head, int image, const Visit& visit) {
    for (int cell = 0; cell < head.width * head.height; ++cell)
        for (int k = 0; k < head.anchors; ++k) visit(prediction_of(head, image, cell, k));
}

// Of all deltas, and of those of boxes.
std::pair<double, double> squares(const AnchorHead& head, int images) {
    double all = 0, boxes = 0;
    const float* value = head.delta;
    for (int row = 0; row < images * head.anchors * head.entries; ++row) {
        double sum = 0;
        for (const float* end = value + head.entry_step; value < end; ++value)
            sum += static_cast<double>(*value) * *value;
        all += sum;
        if (row % head.entries < objectness_of(head)) boxes += sum;
    }
    return {all, boxes};
}

}  // namespace

LossTables anchor_tables(const YoloParams& params, Shape net_input) {
    LossTables tables{{}, params.mask};
    for (int anchor = 0; anchor < params.num; ++anchor) {
        tables.floats.push_back(params.anchors[2 * anchor] / net_input.w);
        tables.floats.push_back(params.anchors[2 * anchor + 1] / net_input.h);
    }
    const std::vector<float> multipliers = class_multipliers(params);
    tables.floats.insert(tables.floats.end(), multipliers.begin(), multipliers.end());
    return tables;
}

AnchorHead anchor_head(const Node& node, const float* floats, const int* ints) {
    const auto& params = node.as<YoloParams>();
    AnchorHead head{};
    head.width = node.out.w;
    head.height = node.out.h;
    head.anchors = static_cast<int>(params.mask.size());
    head.num = params.num;
    head.classes = params.classes;
    head.entries = params.entries();
    head.gaussian = params.gaussian;
    head.new_coords = params.new_coords;
    head.objectness_smooth = params.objectness_smooth;
    head.focal_loss = params.focal_loss;
    head.weighs_classes = !params.counters_per_class.empty();
    head.iou_loss = params.iou_loss;
    head.iou_thresh_kind = params.iou_thresh_kind;
    head.ignore_thresh = params.ignore_thresh;
    head.truth_thresh = params.truth_thresh;
    head.iou_thresh = params.iou_thresh;
    head.iou_normalizer = params.iou_normalizer;
    head.obj_normalizer = params.obj_normalizer;
    head.cls_normalizer = params.cls_normalizer;
    head.uc_normalizer = params.uc_normalizer;
    head.max_delta = params.max_delta;
    head.label_smooth = params.label_smooth_eps;
    head.corner = corner_of(params.point);
    head.priors = floats;
    head.multipliers = floats + 2 * static_cast<std::size_t>(params.num);
    head.mask = ints;
    return head;
}

LossReport anchor_report(const YoloParams& params, const AssignmentSums& sums, double all, double boxes) {
    LossReport report;
    report.iou_sum = sums.iou;
    report.count = sums.count;
    report.rewritten = sums.rewritten;
    report.total_loss = static_cast<float>(all);
    if (params.gaussian) {
        report.cost = report.total_loss;
        report.class_loss = static_cast<float>(all - boxes);
        report.iou_loss = static_cast<float>(boxes);
        return report;
    }
    report.class_loss = static_cast<float>(params.obj_normalizer * (all - boxes));
    report.iou_loss = report.total_loss - report.class_loss;
    const int count = std::max(1, report.count);
    report.cost = params.iou_loss == IouKind::mse ? report.total_loss
                                                  : params.iou_normalizer * (sums.distance / count) + report.class_loss;
    return report;
}

LossReport anchor_loss(const Node& node, const LossContext& context, const float* output, float* delta) {
    const auto& params = node.as<YoloParams>();
    const LossTables tables = anchor_tables(params, context.net_input);
    const AnchorHead head = head_on(node, tables, output, delta);
    const int images = context.truths.n;
    std::vector<std::vector<TruthBox>> truths;
    for (int image = 0; image < images; ++image) truths.push_back(truths_of(context.truths, image, params.classes));
#pragma omp parallel for num_threads(context.threads) schedule(static)
    for (int image = 0; image < images; ++image)
        for_predictions(head, image, [&](const Prediction& prediction) {
            punish(head, prediction, truths[image].data(), static_cast<int>(truths[image].size()));
        });
    AssignmentSums sums{};
    for (int image = 0; image < images; ++image) {
        for (const TruthBox& truth : truths[image]) assign_truth(head, image, truth, sums);
        if (averages_boxes(head))
            for_predictions(head, image, [&](const Prediction& prediction) { average_box(head, prediction); });
    }
    const auto [all, boxes] = squares(head, images);
    return anchor_report(params, sums, all, boxes);
}

}  // namespace dn
