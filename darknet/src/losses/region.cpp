// SPDX-License-Identifier: Apache-2.0
#include "region.hpp"

namespace dn {
namespace {

double squares(const float* values, std::size_t count) {
    double all = 0;
    for (std::size_t i = 0; i < count; ++i) all += static_cast<double>(values[i]) * values[i];
    return all;
}

}  // namespace

LossTables region_tables(const RegionParams& params) {
    LossTables tables{params.anchors, params.tree.parent};
    for (const std::vector<int>* more : {&params.tree.group_offset, &params.tree.group_size})
        tables.ints.insert(tables.ints.end(), more->begin(), more->end());
    return tables;
}

RegionHead region_head(const Node& node, const float* floats, const int* ints) {
    const auto& params = node.as<RegionParams>();
    RegionHead head{};
    head.width = node.in.w;
    head.height = node.in.h;
    head.anchors = params.num;
    head.coords = params.coords;
    head.classes = params.classes;
    head.entries = params.coords + 1 + params.classes;
    head.classfix = params.classfix;
    head.bias_match = params.bias_match;
    head.rescore = params.rescore;
    head.focal_loss = params.focal_loss;
    head.thresh = params.thresh;
    head.coord_scale = params.coord_scale;
    head.object_scale = params.object_scale;
    head.noobject_scale = params.noobject_scale;
    head.class_scale = params.class_scale;
    head.sizes = floats;
    head.parent = ints;
    head.group_offset = ints + params.tree.parent.size();
    head.group_size = head.group_offset + params.tree.group_offset.size();
    head.groups = static_cast<int>(params.tree.group_offset.size());
    head.image_step = static_cast<long long>(node.out.size());
    return head;
}

bool region_warms_up(std::uint64_t seen) {
    constexpr std::uint64_t kWarmUpImages = 12800;
    return seen < kWarmUpImages;
}

LossReport region_report(const AssignmentSums& sums, double all) {
    LossReport report;
    report.cost = report.total_loss = static_cast<float>(all);
    report.count = sums.count;
    report.iou_sum = sums.iou;
    return report;
}

LossReport region_loss(const Node& node, const LossContext& context, const float* output, float* delta) {
    const auto& params = node.as<RegionParams>();
    const LossTables tables = region_tables(params);
    RegionHead head = region_head(node, tables.floats.data(), tables.ints.data());
    head.output = output;
    head.delta = delta;
    head.warms_up = region_warms_up(context.seen);
    AssignmentSums sums{};
    for (int image = 0; image < context.truths.n; ++image) {
        const std::vector<TruthBox> truths = truths_of(context.truths, image, params.classes);
        for (int cell = 0; cell < head.width * head.height; ++cell)
            for (int anchor = 0; anchor < head.anchors; ++anchor)
                punish(head, {image, cell, anchor}, truths.data(), static_cast<int>(truths.size()));
        for (const TruthBox& truth : truths) assign_truth(head, image, truth, sums);
    }
    return region_report(sums, squares(delta, context.truths.n * node.out.size()));
}

}  // namespace dn
