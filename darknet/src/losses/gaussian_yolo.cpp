// SPDX-License-Identifier: Apache-2.0
// The loss of [Gaussian_yolo] (arXiv 1904.04620): boxes are normal distributions, trained by their likelihood.
// Entries of a prediction: x, sigma x, y, sigma y, w, sigma w, h, sigma h, objectness, classes.
#include <algorithm>
#include <cmath>

#include "anchors.hpp"
#include "iou.hpp"

namespace dn {
namespace {

constexpr int kObjectness = 8, kClasses = 9;
constexpr float kClassMatch = 0.25f, kSigmaOffset = 0.3f, kTiny = 1e-9f, kSqrtTwoPi = 2.5066282746310002f;

class GaussianLoss {
public:
    GaussianLoss(const Node& node, const LossContext& context, const float* output, float* delta)
        : params_(node.as<YoloParams>()),
          multipliers_(class_multipliers(params_)),
          grid_(node.out),
          input_(context.net_input),
          truths_(context.truths),
          output_(output),
          delta_(delta),
          corner_(params_.point == YoloPoint::left_top       ? -0.5f
                  : params_.point == YoloPoint::right_bottom ? 0.5f
                                                             : 0.f) {}

    LossReport run() {
        for (int image = 0; image < truths_.n; ++image) {
            const Head head{params_, grid_, input_, output_ + image * grid_.size(), delta_ + image * grid_.size()};
            const std::vector<TruthBox> truths = truths_of(truths_, image, params_.classes);
            punish_predictions(head, truths);
            for (const TruthBox& truth : truths) assign_truth(head, truth);
            average_boxes(head);
        }
        return summarise();
    }

private:
    Box decode(const Head& head, const Slot& slot, int anchor, int row, int column) const {
        const Box prior = head.anchor(anchor);
        const float w = std::exp(slot.out(4)) * prior.w, h = std::exp(slot.out(6)) * prior.h;
        return {(column + slot.out(0)) / grid_.w - corner_ * w, (row + slot.out(2)) / grid_.h - corner_ * h, w, h};
    }

    void punish_predictions(const Head& head, const std::vector<TruthBox>& truths) const {
        for (int row = 0; row < grid_.h; ++row)
            for (int column = 0; column < grid_.w; ++column)
                for (std::size_t k = 0; k < params_.mask.size(); ++k)
                    punish(head, truths, head.slot(static_cast<int>(k), row, column), params_.mask[k], row, column);
    }

    void punish(const Head& head, const std::vector<TruthBox>& truths, const Slot& slot, int anchor, int row,
                int column) const {
        const Box box = decode(head, slot, anchor, row, column);
        const TruthBox* best_truth = nullptr;
        float best = 0;
        for (const TruthBox& truth : truths) {
            const float value = iou(box, truth.box);
            if (value > best) {
                best = value;
                best_truth = &truth;
            }
        }
        const float objectness = slot.out(kObjectness), normalizer = params_.obj_normalizer;
        slot.d(kObjectness) = normalizer * (0 - objectness);
        if (best > params_.ignore_thresh && any_class(slot)) {
            if (params_.objectness_smooth) {
                slot.d(kObjectness) = normalizer * (best * best - objectness);
                class_rule(slot, best_truth->class_id);
            } else {
                slot.d(kObjectness) = 0;
            }
        }
        if (!best_truth || best <= params_.truth_thresh) return;
        const float multiplier = multipliers_[best_truth->class_id];
        slot.d(kObjectness) = normalizer * ((params_.objectness_smooth ? best * best : 1) - objectness);
        class_rule(slot, best_truth->class_id);
        if (params_.objectness_smooth)
            slot.d(kClasses + best_truth->class_id) =
                multiplier * (best * best - slot.out(kClasses + best_truth->class_id));
        box_rule(head, *best_truth, slot, anchor, row, column, params_.iou_normalizer * multiplier);
    }

    bool any_class(const Slot& slot) const {
        for (int c = 0; c < params_.classes; ++c)
            if (slot.out(kClasses + c) > kClassMatch) return true;
        return false;
    }

    // The point of the truth that the head predicts: its centre or a corner.
    float point_x(Box box) const { return box.x + corner_ * box.w; }
    float point_y(Box box) const { return box.y + corner_ * box.h; }

    void assign_truth(const Head& head, const TruthBox& truth) {
        const int column = std::clamp(static_cast<int>(point_x(truth.box) * grid_.w), 0, grid_.w - 1);
        const int row = std::clamp(static_cast<int>(point_y(truth.box) * grid_.h), 0, grid_.h - 1);
        const int best = best_anchor(head, truth.box);
        const Box size{0, 0, truth.box.w, truth.box.h};
        for (std::size_t k = 0; k < params_.mask.size(); ++k)
            if (params_.mask[k] == best) assign(head, truth, static_cast<int>(k), best, row, column);
        if (params_.iou_thresh >= 1) return;
        for (std::size_t k = 0; k < params_.mask.size(); ++k) {
            const int anchor = params_.mask[k];
            if (anchor != best && overlap(params_.iou_thresh_kind, head.anchor(anchor), size) > params_.iou_thresh)
                assign(head, truth, static_cast<int>(k), anchor, row, column);
        }
    }

    void assign(const Head& head, const TruthBox& truth, int anchor_slot, int anchor, int row, int column) {
        const Slot slot = head.slot(anchor_slot, row, column);
        const float multiplier = multipliers_[truth.class_id];
        const Box box = decode(head, slot, anchor, row, column);
        ++report_.count;
        report_.iou_sum += params_.iou_loss == IouKind::mse ? iou(box, truth.box) : giou(box, truth.box);
        box_rule(head, truth, slot, anchor, row, column, params_.iou_normalizer * multiplier);
        slot.d(kObjectness) = multiplier * params_.obj_normalizer * (1 - slot.out(kObjectness));
        class_rule(slot, truth.class_id);
    }

    // Mean and deviation of one coordinate, by the likelihood of the target.
    void likelihood(const Slot& slot, int entry, float target, float scale, float (&g)[8]) const {
        const float mean = slot.out(entry), sigma = slot.out(entry + 1);
        const float z = (target - mean) / sigma;
        const float density = std::exp(-z * z / 2) / (kSqrtTwoPi * (sigma + kSigmaOffset));
        const float weight = 0.5f * scale * density / (density + kTiny);
        g[entry] = weight * z / sigma;
        g[entry + 1] = weight * (z * z / sigma - 1 / (sigma + kSigmaOffset));
    }

    void box_rule(const Head& head, const TruthBox& truth, const Slot& slot, int anchor, int row, int column,
                  float normalizer) const {
        const Box prior = head.anchor(anchor);
        const float scale = 2 - truth.box.w * truth.box.h;
        float g[8];
        likelihood(slot, 0, point_x(truth.box) * grid_.w - column, scale, g);
        likelihood(slot, 2, point_y(truth.box) * grid_.h - row, scale, g);
        likelihood(slot, 4, std::log(truth.box.w / prior.w), scale, g);
        likelihood(slot, 6, std::log(truth.box.h / prior.h), scale, g);
        if (params_.iou_loss != IouKind::mse) {
            Box box = decode(head, slot, anchor, row, column);
            if (box.w == 0) box.w = 1;
            if (box.h == 0) box.h = 1;
            const BoxGradient d = iou_gradient(params_.iou_loss, box, truth.box);
            g[0] = d.x + corner_ * d.w;
            g[2] = d.y + corner_ * d.h;
            g[4] = d.w * std::exp(slot.out(4));
            g[6] = d.h * std::exp(slot.out(6));
        }
        for (int e = 0; e < 8; e += 2) {  // the deviations have a normalizer of their own
            slot.d(e) += clamped(g[e] * normalizer, params_.max_delta);
            slot.d(e + 1) += clamped(g[e + 1] * params_.uc_normalizer, params_.max_delta);
        }
    }

    void class_rule(const Slot& slot, int class_id) const {
        const float smooth = params_.label_smooth_eps;
        const float positive = 1 - smooth + smooth / 2, negative = smooth / 2;
        if (slot.d(kClasses) != 0) {  // Darknet looks at class 0 to see whether the prediction has a truth already
            slot.d(kClasses + class_id) = (positive - slot.out(kClasses + class_id)) * multipliers_[class_id];
            return;
        }
        for (int c = 0; c < params_.classes; ++c)
            slot.d(kClasses + c) = (c == class_id ? positive : negative) - slot.out(kClasses + c);
        if (!params_.counters_per_class.empty())
            slot.d(kClasses + class_id) *= multipliers_[class_id] * params_.cls_normalizer;
    }

    void average_boxes(const Head& head) const {
        for (std::size_t k = 0; k < params_.mask.size(); ++k)
            for (int row = 0; row < grid_.h; ++row)
                for (int column = 0; column < grid_.w; ++column) {
                    const Slot slot = head.slot(static_cast<int>(k), row, column);
                    int positives = 0;
                    for (int c = 0; c < params_.classes; ++c) positives += slot.d(kClasses + c) > 0;
                    for (int e = 0; e < 8 && positives > 0; ++e) slot.d(e) /= positives;
                }
    }

    LossReport summarise() {
        double all = 0, boxes = 0;
        const std::size_t plane = static_cast<std::size_t>(grid_.h) * grid_.w;
        for (std::size_t i = 0; i < truths_.n * grid_.size(); ++i) {
            const double square = static_cast<double>(delta_[i]) * delta_[i];
            all += square;
            if ((i % grid_.size()) / plane % params_.entries() < 8) boxes += square;
        }
        report_.total_loss = report_.cost = static_cast<float>(all);
        report_.class_loss = static_cast<float>(all - boxes);
        report_.iou_loss = static_cast<float>(boxes);
        return report_;
    }

    const YoloParams& params_;
    const std::vector<float> multipliers_;
    const Shape grid_, input_;
    const Truths truths_;
    const float* output_;
    float* delta_;
    const float corner_;  // the predicted point is centre + corner * size
    LossReport report_;
};

}  // namespace

LossReport gaussian_yolo_loss(const Node& head, const LossContext& context, const float* output, float* delta) {
    return GaussianLoss(head, context, output, delta).run();
}

}  // namespace dn
