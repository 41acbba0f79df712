// SPDX-License-Identifier: Apache-2.0
#include "anchor_loss.hpp"

#include <algorithm>
#include <cmath>

namespace dn {
namespace {

constexpr float kClassMatch = 0.25f;  // a class output above it lets a confident box near a truth go unpunished

}  // namespace

AnchorLoss::AnchorLoss(const Node& node, const LossContext& context, const float* output, float* delta)
    : params_(node.as<YoloParams>()),
      grid_(node.out),
      multipliers_(class_multipliers(params_)),
      input_(context.net_input),
      truths_(context.truths),
      threads_(context.threads),
      output_(output),
      delta_(delta),
      objectness_(params_.gaussian ? 8 : 4),
      classes_(objectness_ + 1) {}

LossReport AnchorLoss::run() {
    std::vector<std::vector<TruthBox>> truths;
    for (int image = 0; image < truths_.n; ++image) truths.push_back(truths_of(truths_, image, params_.classes));
#pragma omp parallel for num_threads(threads_) schedule(static)
    for (int image = 0; image < truths_.n; ++image)
        for_predictions(head_of(image), [&](const Prediction& prediction) { punish(prediction, truths[image]); });
    for (int image = 0; image < truths_.n; ++image) {
        const Head head = head_of(image);
        for (const TruthBox& truth : truths[image]) assign_truth(head, truth);
        if (params_.iou_thresh < 1 || params_.gaussian) average_boxes(head);
    }
    const auto [all, boxes] = squares();
    return report(all, boxes);
}

Head AnchorLoss::head_of(int image) const {
    return {params_, grid_, input_, output_ + image * grid_.size(), delta_ + image * grid_.size()};
}

AnchorLoss::Prediction AnchorLoss::prediction(const Head& head, int anchor_slot, int row, int column) const {
    return {head.slot(anchor_slot, row, column), head.anchor(params_.mask[anchor_slot]), row, column};
}

template <class Visit>
void AnchorLoss::for_predictions(const Head& head, Visit&& visit) const {
    for (int row = 0; row < grid_.h; ++row)
        for (int column = 0; column < grid_.w; ++column)
            for (std::size_t k = 0; k < params_.mask.size(); ++k)
                visit(prediction(head, static_cast<int>(k), row, column));
}

// Pass 1: objectness towards 0, unless the box overlaps a truth well enough.
void AnchorLoss::punish(const Prediction& prediction, const std::vector<TruthBox>& truths) const {
    const Slot& slot = prediction.slot;
    const Box box = decode(prediction);
    const TruthBox* best_truth = nullptr;
    float best = 0;
    for (const TruthBox& truth : truths) {
        const float value = iou(box, truth.box);
        if (value > best) {
            best = value;
            best_truth = &truth;
        }
    }
    slot.d(objectness_) = params_.obj_normalizer * (0 - slot.out(objectness_));
    if (!best_truth) return;
    if (best > params_.ignore_thresh && any_class(slot)) ignore(slot, *best_truth, best);
    if (best > params_.truth_thresh) accept(prediction, *best_truth, best);
}

bool AnchorLoss::any_class(const Slot& slot) const {
    for (int c = 0; c < params_.classes; ++c)
        if (slot.out(classes_ + c) > kClassMatch) return true;
    return false;
}

// A prediction so close to a truth (truth_thresh) that it counts as its own.
void AnchorLoss::accept(const Prediction& prediction, const TruthBox& truth, float overlap) const {
    const Slot& slot = prediction.slot;
    const int entry = classes_ + truth.class_id;
    const float multiplier = multipliers_[truth.class_id];
    const float target = params_.objectness_smooth ? overlap * overlap : 1;
    slot.d(objectness_) = params_.obj_normalizer * (target - slot.out(objectness_));
    class_rule(slot, truth.class_id);
    if (params_.objectness_smooth) slot.d(entry) = multiplier * (target - slot.out(entry));
    box_rule(prediction, truth, params_.iou_normalizer * multiplier);
}

// Pass 2: the best anchor, and with iou_thresh every other that fits well, learn the truth.
void AnchorLoss::assign_truth(const Head& head, const TruthBox& truth) {
    const Box point = anchored(truth.box);
    const int column = std::clamp(static_cast<int>(point.x * grid_.w), 0, grid_.w - 1);
    const int row = std::clamp(static_cast<int>(point.y * grid_.h), 0, grid_.h - 1);
    const int best = best_anchor(head, truth.box);
    const auto slot_of_best = std::find(params_.mask.begin(), params_.mask.end(), best);
    if (slot_of_best != params_.mask.end())
        assign(prediction(head, static_cast<int>(slot_of_best - params_.mask.begin()), row, column), truth);
    if (params_.iou_thresh >= 1) return;
    const Box size{0, 0, truth.box.w, truth.box.h};
    for (std::size_t k = 0; k < params_.mask.size(); ++k) {
        const int anchor = params_.mask[k];
        if (anchor != best && overlap(params_.iou_thresh_kind, head.anchor(anchor), size) > params_.iou_thresh)
            assign(prediction(head, static_cast<int>(k), row, column), truth);
    }
}

void AnchorLoss::assign(const Prediction& prediction, const TruthBox& truth) {
    const Slot& slot = prediction.slot;
    const float multiplier = multipliers_[truth.class_id];
    ++report_.count;
    measure(prediction, truth);
    box_rule(prediction, truth, params_.iou_normalizer * multiplier);
    if (params_.gaussian || !params_.objectness_smooth || slot.d(objectness_) == 0)
        slot.d(objectness_) = multiplier * params_.obj_normalizer * (1 - slot.out(objectness_));
    class_rule(slot, truth.class_id);
}

BoxGradient AnchorLoss::overlap_gradient(const Prediction& prediction, const TruthBox& truth) const {
    Box box = decode(prediction);
    if (box.w == 0) box.w = 1;
    if (box.h == 0) box.h = 1;
    return iou_gradient(params_.iou_loss, box, truth.box);
}

void AnchorLoss::class_rule(const Slot& slot, int class_id) const {
    const float smooth = params_.label_smooth_eps;
    const float positive = 1 - smooth + smooth / 2, negative = smooth / 2;
    // A second truth on one prediction: both classes are right. In Gaussian heads Darknet asks class 0 whether there
    // was a first.
    if (slot.d(classes_ + (params_.gaussian ? 0 : class_id)) != 0) {
        slot.d(classes_ + class_id) = (positive - slot.out(classes_ + class_id)) * multipliers_[class_id];
        return;
    }
    if (params_.focal_loss && !params_.gaussian) return focal_rule(slot, class_id);
    for (int c = 0; c < params_.classes; ++c)
        slot.d(classes_ + c) = (c == class_id ? positive : negative) - slot.out(classes_ + c);
    // cls_normalizer acts only together with counters_per_class, as in Darknet.
    if (!params_.counters_per_class.empty())
        slot.d(classes_ + class_id) *= multipliers_[class_id] * params_.cls_normalizer;
}

// Focal loss (arXiv 1708.02002), alpha 0.5, gamma 2.
void AnchorLoss::focal_rule(const Slot& slot, int class_id) const {
    const float p = slot.out(classes_ + class_id) + 1e-15f;
    const float gradient = -(1 - p) * (2 * p * std::log(p) + p - 1);
    for (int c = 0; c < params_.classes; ++c)
        slot.d(classes_ + c) = 0.5f * gradient * ((c == class_id ? 1.f : 0.f) - slot.out(classes_ + c));
}

// Several truths of different classes on one prediction: their box gradients are averaged.
void AnchorLoss::average_boxes(const Head& head) const {
    for_predictions(head, [&](const Prediction& prediction) {
        const Slot& slot = prediction.slot;
        if (!params_.gaussian && slot.d(objectness_) == 0) return;
        int positives = 0;
        for (int c = 0; c < params_.classes; ++c) positives += slot.d(classes_ + c) > 0;
        for (int e = 0; e < objectness_ && positives > 0; ++e) slot.d(e) /= positives;
    });
}

std::pair<double, double> AnchorLoss::squares() const {
    double all = 0, boxes = 0;
    const std::size_t plane = static_cast<std::size_t>(grid_.h) * grid_.w;
    const float* value = delta_;
    for (std::size_t row = 0; row < truths_.n * grid_.size() / plane; ++row) {
        double sum = 0;
        for (const float* end = value + plane; value < end; ++value) sum += static_cast<double>(*value) * *value;
        all += sum;
        if (static_cast<int>(row % params_.entries()) < objectness_) boxes += sum;
    }
    return {all, boxes};
}

}  // namespace dn
