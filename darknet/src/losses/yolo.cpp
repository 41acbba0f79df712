// SPDX-License-Identifier: Apache-2.0
// The loss of [yolo]. Entries of a prediction: x, y, w, h, objectness, classes.
#include <algorithm>
#include <cmath>

#include "anchor_loss.hpp"

namespace dn {
namespace {

constexpr int kObjectness = 4;

class YoloLoss : public AnchorLoss {
public:
    using AnchorLoss::AnchorLoss;

private:
    Box decode(const Prediction& p) const override {
        const float w = p.slot.out(2), h = p.slot.out(3);
        return {(p.column + p.slot.out(0)) / grid_.w, (p.row + p.slot.out(1)) / grid_.h,
                params_.new_coords ? 4 * w * w * p.prior.w : std::exp(w) * p.prior.w,
                params_.new_coords ? 4 * h * h * p.prior.h : std::exp(h) * p.prior.h};
    }

    void ignore(const Slot& slot, const TruthBox&, float overlap) const override {
        const float towards_iou = params_.obj_normalizer * (overlap - slot.out(kObjectness));
        if (!params_.objectness_smooth)
            slot.d(kObjectness) = 0;
        else if (towards_iou > slot.d(kObjectness))
            slot.d(kObjectness) = towards_iou;
    }

    void measure(const Prediction& p, const TruthBox& truth) override {
        const Box box = decode(p);
        const Slot& slot = p.slot;
        report_.rewritten += slot.d(0) != 0 || slot.d(1) != 0 || slot.d(2) != 0 || slot.d(3) != 0;
        report_.iou_sum += iou(box, truth.box);
        distance_sum_ += 1 - (params_.iou_loss == IouKind::giou ? giou(box, truth.box) : iou(box, truth.box));
    }

    void box_rule(const Prediction& p, const TruthBox& truth, float normalizer) const override {
        if (params_.iou_loss == IouKind::mse) return mse_rule(p, truth, normalizer);
        BoxGradient g = overlap_gradient(p, truth);
        if (!params_.new_coords) {
            g.w *= std::exp(p.slot.out(2));
            g.h *= std::exp(p.slot.out(3));
        }
        p.slot.d(0) += clamped(g.x * normalizer, params_.max_delta);
        p.slot.d(1) += clamped(g.y * normalizer, params_.max_delta);
        p.slot.d(2) += clamped(g.w * normalizer, params_.max_delta);
        p.slot.d(3) += clamped(g.h * normalizer, params_.max_delta);
    }

    void mse_rule(const Prediction& p, const TruthBox& truth, float normalizer) const {
        const float scale = (2 - truth.box.w * truth.box.h) * normalizer;
        const float w = truth.box.w / p.prior.w, h = truth.box.h / p.prior.h;
        const float target[4] = {truth.box.x * grid_.w - p.column, truth.box.y * grid_.h - p.row,
                                 params_.new_coords ? std::sqrt(w / 4) : std::log(w),
                                 params_.new_coords ? std::sqrt(h / 4) : std::log(h)};
        for (int e = 0; e < 4; ++e) p.slot.d(e) += scale * (target[e] - p.slot.out(e));
    }

    LossReport report(double all, double boxes) const override {
        LossReport report = report_;
        const int count = std::max(1, report.count);
        report.total_loss = static_cast<float>(all);
        report.class_loss = static_cast<float>(params_.obj_normalizer * (all - boxes));
        report.iou_loss = report.total_loss - report.class_loss;
        report.cost = params_.iou_loss == IouKind::mse
                          ? report.total_loss
                          : params_.iou_normalizer * (distance_sum_ / count) + report.class_loss;
        return report;
    }

    float distance_sum_ = 0;  // of 1 - IoU (or GIoU)
};

}  // namespace

LossReport yolo_loss(const Node& head, const LossContext& context, const float* output, float* delta) {
    return YoloLoss(head, context, output, delta).run();
}

}  // namespace dn
