// SPDX-License-Identifier: Apache-2.0
// The loss of [yolo]: every prediction against "no object", then every truth against the predictions of its cell.
#include <algorithm>
#include <cmath>

#include "anchors.hpp"
#include "iou.hpp"

namespace dn {
namespace {

constexpr int kObjectness = 4, kClasses = 5;
constexpr float kClassMatch = 0.25f;  // a class output above it lets a confident box near a truth go unpunished

class YoloLoss {
public:
    YoloLoss(const Node& node, const LossContext& context, const float* output, float* delta)
        : params_(node.as<YoloParams>()),
          multipliers_(class_multipliers(params_)),
          grid_(node.out),
          input_(context.net_input),
          truths_(context.truths),
          output_(output),
          delta_(delta) {}

    LossReport run() {
        for (int image = 0; image < truths_.n; ++image) {
            const Head head{params_, grid_, input_, output_ + image * grid_.size(), delta_ + image * grid_.size()};
            const std::vector<TruthBox> truths = truths_of(truths_, image, params_.classes);
            punish_predictions(head, truths);
            for (const TruthBox& truth : truths) assign_truth(head, truth);
            if (params_.iou_thresh < 1) average_boxes(head);
        }
        return summarise();
    }

private:
    Box decode(const Head& head, const Slot& slot, int anchor, int row, int column) const {
        const Box prior = head.anchor(anchor);
        const float w = slot.out(2), h = slot.out(3);
        return {(column + slot.out(0)) / grid_.w, (row + slot.out(1)) / grid_.h,
                params_.new_coords ? 4 * w * w * prior.w : std::exp(w) * prior.w,
                params_.new_coords ? 4 * h * h * prior.h : std::exp(h) * prior.h};
    }

    // Pass 1: objectness towards 0, unless the box overlaps a truth well enough.
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
            const float towards_iou = normalizer * (best - objectness);
            if (!params_.objectness_smooth)
                slot.d(kObjectness) = 0;
            else if (towards_iou > slot.d(kObjectness))
                slot.d(kObjectness) = towards_iou;
        }
        if (best_truth && best > params_.truth_thresh) accept(head, *best_truth, slot, anchor, row, column, best);
    }

    bool any_class(const Slot& slot) const {
        for (int c = 0; c < params_.classes; ++c)
            if (slot.out(kClasses + c) > kClassMatch) return true;
        return false;
    }

    // A prediction so close to a truth (truth_thresh) that it counts as its own.
    void accept(const Head& head, const TruthBox& truth, const Slot& slot, int anchor, int row, int column,
                float overlap_value) const {
        const float multiplier = multipliers_[truth.class_id];
        const float target = params_.objectness_smooth ? overlap_value * overlap_value : 1;
        slot.d(kObjectness) = params_.obj_normalizer * (target - slot.out(kObjectness));
        class_rule(slot, truth.class_id);
        if (params_.objectness_smooth)
            slot.d(kClasses + truth.class_id) = multiplier * (target - slot.out(kClasses + truth.class_id));
        box_rule(head, truth, slot, anchor, row, column, params_.iou_normalizer * multiplier);
    }

    // Pass 2: the best anchor, and with iou_thresh every other that fits well, learn the truth.
    void assign_truth(const Head& head, const TruthBox& truth) {
        const int column = std::clamp(static_cast<int>(truth.box.x * grid_.w), 0, grid_.w - 1);
        const int row = std::clamp(static_cast<int>(truth.box.y * grid_.h), 0, grid_.h - 1);
        const int best = best_anchor(head, truth.box);
        const Box size{0, 0, truth.box.w, truth.box.h};
        const auto slot_of_best = std::find(params_.mask.begin(), params_.mask.end(), best);
        if (slot_of_best != params_.mask.end())
            assign(head, truth, static_cast<int>(slot_of_best - params_.mask.begin()), best, row, column);
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
        ++report_.count;
        report_.rewritten += slot.d(0) != 0 || slot.d(1) != 0 || slot.d(2) != 0 || slot.d(3) != 0;
        box_rule(head, truth, slot, anchor, row, column, params_.iou_normalizer * multiplier);
        const Box box = decode(head, slot, anchor, row, column);
        report_.iou_sum += iou(box, truth.box);
        distance_sum_ += 1 - (params_.iou_loss == IouKind::giou ? giou(box, truth.box) : iou(box, truth.box));
        if (!params_.objectness_smooth || slot.d(kObjectness) == 0)
            slot.d(kObjectness) = multiplier * params_.obj_normalizer * (1 - slot.out(kObjectness));
        class_rule(slot, truth.class_id);
    }

    void box_rule(const Head& head, const TruthBox& truth, const Slot& slot, int anchor, int row, int column,
                  float normalizer) const {
        if (params_.iou_loss == IouKind::mse) return mse_rule(head, truth, slot, anchor, row, column, normalizer);
        Box box = decode(head, slot, anchor, row, column);
        if (box.w == 0) box.w = 1;
        if (box.h == 0) box.h = 1;
        BoxGradient g = iou_gradient(params_.iou_loss, box, truth.box);
        if (!params_.new_coords) {
            g.w *= std::exp(slot.out(2));
            g.h *= std::exp(slot.out(3));
        }
        slot.d(0) += clamped(g.x * normalizer, params_.max_delta);
        slot.d(1) += clamped(g.y * normalizer, params_.max_delta);
        slot.d(2) += clamped(g.w * normalizer, params_.max_delta);
        slot.d(3) += clamped(g.h * normalizer, params_.max_delta);
    }

    void mse_rule(const Head& head, const TruthBox& truth, const Slot& slot, int anchor, int row, int column,
                  float normalizer) const {
        const Box prior = head.anchor(anchor);
        const float scale = (2 - truth.box.w * truth.box.h) * normalizer;
        const float w = truth.box.w / prior.w, h = truth.box.h / prior.h;
        const float target[4] = {truth.box.x * grid_.w - column, truth.box.y * grid_.h - row,
                                 params_.new_coords ? std::sqrt(w / 4) : std::log(w),
                                 params_.new_coords ? std::sqrt(h / 4) : std::log(h)};
        for (int e = 0; e < 4; ++e) slot.d(e) += scale * (target[e] - slot.out(e));
    }

    void class_rule(const Slot& slot, int class_id) const {
        const float smooth = params_.label_smooth_eps;
        const float positive = 1 - smooth + smooth / 2, negative = smooth / 2;
        if (slot.d(kClasses + class_id) != 0) {  // a second truth of this cell and anchor: both classes are right
            slot.d(kClasses + class_id) = (positive - slot.out(kClasses + class_id)) * multipliers_[class_id];
            return;
        }
        if (params_.focal_loss) return focal_rule(slot, class_id);
        for (int c = 0; c < params_.classes; ++c)
            slot.d(kClasses + c) = (c == class_id ? positive : negative) - slot.out(kClasses + c);
        // cls_normalizer acts only together with counters_per_class, as in Darknet.
        if (!params_.counters_per_class.empty())
            slot.d(kClasses + class_id) *= multipliers_[class_id] * params_.cls_normalizer;
    }

    // Focal loss (arXiv 1708.02002), alpha 0.5, gamma 2.
    void focal_rule(const Slot& slot, int class_id) const {
        const float p = slot.out(kClasses + class_id) + 1e-15f;
        const float gradient = -(1 - p) * (2 * p * std::log(p) + p - 1);
        for (int c = 0; c < params_.classes; ++c)
            slot.d(kClasses + c) = 0.5f * gradient * ((c == class_id ? 1.f : 0.f) - slot.out(kClasses + c));
    }

    // Several truths of different classes on one prediction: their box gradients are averaged.
    void average_boxes(const Head& head) const {
        for (std::size_t k = 0; k < params_.mask.size(); ++k)
            for (int row = 0; row < grid_.h; ++row)
                for (int column = 0; column < grid_.w; ++column) {
                    const Slot slot = head.slot(static_cast<int>(k), row, column);
                    if (slot.d(kObjectness) == 0) continue;
                    int positives = 0;
                    for (int c = 0; c < params_.classes; ++c) positives += slot.d(kClasses + c) > 0;
                    for (int e = 0; e < 4 && positives > 0; ++e) slot.d(e) /= positives;
                }
    }

    LossReport summarise() {
        double all = 0, boxes = 0;
        const std::size_t plane = static_cast<std::size_t>(grid_.h) * grid_.w;
        for (std::size_t i = 0; i < truths_.n * grid_.size(); ++i) {
            const double square = static_cast<double>(delta_[i]) * delta_[i];
            all += square;
            if ((i % grid_.size()) / plane % params_.entries() < 4) boxes += square;
        }
        const int count = std::max(1, report_.count);
        report_.total_loss = static_cast<float>(all);
        report_.class_loss = static_cast<float>(params_.obj_normalizer * (all - boxes));
        report_.iou_loss = report_.total_loss - report_.class_loss;
        report_.cost = params_.iou_loss == IouKind::mse
                           ? report_.total_loss
                           : params_.iou_normalizer * (distance_sum_ / count) + report_.class_loss;
        return report_;
    }

    const YoloParams& params_;
    const std::vector<float> multipliers_;
    const Shape grid_, input_;
    const Truths truths_;
    const float* output_;
    float* delta_;
    LossReport report_;
    float distance_sum_ = 0;  // of 1 - IoU (or GIoU)
};

}  // namespace

LossReport yolo_loss(const Node& head, const LossContext& context, const float* output, float* delta) {
    return YoloLoss(head, context, output, delta).run();
}

}  // namespace dn
