// SPDX-License-Identifier: Apache-2.0
// The loss of heads with anchors, [yolo] and [Gaussian_yolo]: which prediction learns what. Every prediction is first
// held against "no object", then every truth against the predictions of its cell.
#pragma once

#include <utility>

#include "anchors.hpp"
#include "iou.hpp"

namespace dn {

class AnchorLoss {
public:
    AnchorLoss(const Node& node, const LossContext& context, const float* output, float* delta);
    virtual ~AnchorLoss() = default;
    LossReport run();

protected:
    // One anchor at one cell.
    struct Prediction {
        Slot slot;
        Box prior;  // the anchor
        int row, column;
    };

    virtual Box decode(const Prediction& prediction) const = 0;
    // The point of a truth whose cell is responsible for it.
    virtual Box anchored(Box truth) const { return truth; }
    // A prediction that overlaps a truth by more than ignore_thresh; its objectness already tends to 0.
    virtual void ignore(const Slot& slot, const TruthBox& truth, float overlap) const = 0;
    // Adds to the deltas of the box.
    virtual void box_rule(const Prediction& prediction, const TruthBox& truth, float normalizer) const = 0;
    // Counts an assignment, before it changes a delta.
    virtual void measure(const Prediction& prediction, const TruthBox& truth) = 0;
    // The report, from the sum of all squared deltas and that of the boxes'.
    virtual LossReport report(double all, double boxes) const = 0;

    void class_rule(const Slot& slot, int class_id) const;
    // d(overlap)/d(box) for the IoU losses.
    BoxGradient overlap_gradient(const Prediction& prediction, const TruthBox& truth) const;

    const YoloParams& params_;
    const Shape grid_;
    LossReport report_;

private:
    Head head_of(int image) const;
    Prediction prediction(const Head& head, int anchor_slot, int row, int column) const;
    template <class Visit>
    void for_predictions(const Head& head, Visit&& visit) const;
    void punish(const Prediction& prediction, const std::vector<TruthBox>& truths) const;
    bool any_class(const Slot& slot) const;
    void accept(const Prediction& prediction, const TruthBox& truth, float overlap) const;
    void assign_truth(const Head& head, const TruthBox& truth);
    void assign(const Prediction& prediction, const TruthBox& truth);
    void focal_rule(const Slot& slot, int class_id) const;
    void average_boxes(const Head& head) const;
    std::pair<double, double> squares() const;

    const std::vector<float> multipliers_;
    const Shape input_;
    const Truths truths_;
    [[maybe_unused]] const int threads_;  // OpenMP alone reads it
    const float* output_;
    float* delta_;
    const int objectness_, classes_;  // entries; those in front of the objectness are the box
};

}  // namespace dn
