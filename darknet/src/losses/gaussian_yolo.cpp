// SPDX-License-Identifier: Apache-2.0
// The loss of [Gaussian_yolo] (arXiv 1904.04620): boxes are normal distributions, trained by their likelihood.
// Entries of a prediction: x, sigma x, y, sigma y, w, sigma w, h, sigma h, objectness, classes.
#include <cmath>

#include "anchor_loss.hpp"

namespace dn {
namespace {

constexpr int kObjectness = 8;
constexpr float kSigmaOffset = 0.3f, kTiny = 1e-9f, kSqrtTwoPi = 2.5066282746310002f;

class GaussianLoss : public AnchorLoss {
public:
    GaussianLoss(const Node& node, const LossContext& context, const float* output, float* delta)
        : AnchorLoss(node, context, output, delta),
          corner_(params_.point == YoloPoint::left_top       ? -0.5f
                  : params_.point == YoloPoint::right_bottom ? 0.5f
                                                             : 0.f) {}

private:
    Box decode(const Prediction& p) const override {
        const float w = std::exp(p.slot.out(4)) * p.prior.w, h = std::exp(p.slot.out(6)) * p.prior.h;
        return {(p.column + p.slot.out(0)) / grid_.w - corner_ * w, (p.row + p.slot.out(2)) / grid_.h - corner_ * h, w,
                h};
    }

    Box anchored(Box truth) const override {
        return {truth.x + corner_ * truth.w, truth.y + corner_ * truth.h, truth.w, truth.h};
    }

    void ignore(const Slot& slot, const TruthBox& truth, float overlap) const override {
        slot.d(kObjectness) = 0;
        if (!params_.objectness_smooth) return;
        slot.d(kObjectness) = params_.obj_normalizer * (overlap * overlap - slot.out(kObjectness));
        class_rule(slot, truth.class_id);
    }

    void measure(const Prediction& p, const TruthBox& truth) override {
        const Box box = decode(p);
        report_.iou_sum += params_.iou_loss == IouKind::mse ? iou(box, truth.box) : giou(box, truth.box);
    }

    // Mean and deviation of one coordinate, by the likelihood of the target.
    static void likelihood(const Slot& slot, int entry, float target, float scale, float (&g)[8]) {
        const float mean = slot.out(entry), sigma = slot.out(entry + 1);
        const float z = (target - mean) / sigma;
        const float density = std::exp(-z * z / 2) / (kSqrtTwoPi * (sigma + kSigmaOffset));
        const float weight = 0.5f * scale * density / (density + kTiny);
        g[entry] = weight * z / sigma;
        g[entry + 1] = weight * (z * z / sigma - 1 / (sigma + kSigmaOffset));
    }

    void box_rule(const Prediction& p, const TruthBox& truth, float normalizer) const override {
        const Box point = anchored(truth.box);
        const float scale = 2 - truth.box.w * truth.box.h;
        float g[8];
        likelihood(p.slot, 0, point.x * grid_.w - p.column, scale, g);
        likelihood(p.slot, 2, point.y * grid_.h - p.row, scale, g);
        likelihood(p.slot, 4, std::log(truth.box.w / p.prior.w), scale, g);
        likelihood(p.slot, 6, std::log(truth.box.h / p.prior.h), scale, g);
        if (params_.iou_loss != IouKind::mse) {
            const BoxGradient d = overlap_gradient(p, truth);
            g[0] = d.x + corner_ * d.w;
            g[2] = d.y + corner_ * d.h;
            g[4] = d.w * std::exp(p.slot.out(4));
            g[6] = d.h * std::exp(p.slot.out(6));
        }
        for (int e = 0; e < 8; e += 2) {  // the deviations have a normalizer of their own
            p.slot.d(e) += clamped(g[e] * normalizer, params_.max_delta);
            p.slot.d(e + 1) += clamped(g[e + 1] * params_.uc_normalizer, params_.max_delta);
        }
    }

    LossReport report(double all, double boxes) const override {
        LossReport report = report_;
        report.total_loss = report.cost = static_cast<float>(all);
        report.class_loss = static_cast<float>(all - boxes);
        report.iou_loss = static_cast<float>(boxes);
        return report;
    }

    const float corner_;  // the predicted point is centre + corner * size
};

}  // namespace

LossReport gaussian_yolo_loss(const Node& head, const LossContext& context, const float* output, float* delta) {
    return GaussianLoss(head, context, output, delta).run();
}

}  // namespace dn
