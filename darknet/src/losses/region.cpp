// SPDX-License-Identifier: Apache-2.0
// The loss of [region] (YOLOv2, arXiv 1612.08242). The head stores cells x anchors x (x, y, w, h, objectness, classes).
#include <algorithm>
#include <cmath>

#include "anchors.hpp"

namespace dn {
namespace {

constexpr std::uint64_t kWarmUpImages = 12800;  // so long every anchor is also drawn to its prior
constexpr float kWarmUpScale = 0.01f;

float logistic(float x) { return 1 / (1 + std::exp(-x)); }

class RegionLoss {
public:
    RegionLoss(const Node& node, const LossContext& context, const float* output, float* delta)
        : params_(node.as<RegionParams>()),
          grid_{params_.num * (params_.coords + 1 + params_.classes), node.in.h, node.in.w},
          entries_(params_.coords + 1 + params_.classes),
          context_(context),
          output_(output),
          delta_(delta) {}

    LossReport run() {
        for (int image = 0; image < context_.truths.n; ++image) {
            offset_ = image * grid_.size();
            const std::vector<TruthBox> truths = truths_of(context_.truths, image, params_.classes);
            for (int cell = 0; cell < grid_.h * grid_.w; ++cell)
                for (int n = 0; n < params_.num; ++n) punish(truths, cell, n);
            for (const TruthBox& truth : truths) assign(truth);
        }
        double all = 0;
        for (std::size_t i = 0; i < context_.truths.n * grid_.size(); ++i)
            all += static_cast<double>(delta_[i]) * delta_[i];
        report_.cost = report_.total_loss = static_cast<float>(all);
        return report_;
    }

private:
    const float* out(int cell, int n) const { return output_ + at(cell, n); }
    float* d(int cell, int n) const { return delta_ + at(cell, n); }
    std::size_t at(int cell, int n) const {
        return offset_ + (static_cast<std::size_t>(cell) * params_.num + n) * entries_;
    }
    int objectness() const { return params_.coords; }
    int classes() const { return params_.coords + 1; }

    Box decode(int cell, int n) const {
        const float* o = out(cell, n);
        return {(cell % grid_.w + logistic(o[0])) / grid_.w, (cell / grid_.w + logistic(o[1])) / grid_.h,
                std::exp(o[2]) * params_.anchors[2 * n] / grid_.w,
                std::exp(o[3]) * params_.anchors[2 * n + 1] / grid_.h};
    }

    void punish(const std::vector<TruthBox>& truths, int cell, int n) const {
        const Box box = decode(cell, n);
        const TruthBox* best_truth = nullptr;
        float best = 0;
        for (const TruthBox& truth : truths) {
            const float value = iou(box, truth.box);
            if (value > best) {
                best = value;
                best_truth = &truth;
            }
        }
        const float o = out(cell, n)[objectness()];
        float& delta = d(cell, n)[objectness()];
        delta = params_.noobject_scale * (0 - o) * o * (1 - o);
        if (params_.classfix == -1) {
            delta = params_.noobject_scale * (best - o) * o * (1 - o);
        } else if (best > params_.thresh) {
            delta = 0;
            if (params_.classfix > 0)
                class_rule(cell, n, best_truth->class_id, params_.class_scale * (params_.classfix == 2 ? o : 1));
        }
        if (context_.seen < kWarmUpImages) {
            const Box prior{(cell % grid_.w + 0.5f) / grid_.w, (cell / grid_.w + 0.5f) / grid_.h,
                            params_.anchors[2 * n] / grid_.w, params_.anchors[2 * n + 1] / grid_.h};
            box_rule(cell, n, prior, kWarmUpScale);
        }
    }

    void assign(const TruthBox& truth) {
        const int column = std::clamp(static_cast<int>(truth.box.x * grid_.w), 0, grid_.w - 1);
        const int row = std::clamp(static_cast<int>(truth.box.y * grid_.h), 0, grid_.h - 1);
        const int cell = row * grid_.w + column;
        const int n = best_anchor_of(cell, truth.box);
        const float overlap_value = iou(decode(cell, n), truth.box);
        box_rule(cell, n, truth.box, params_.coord_scale);
        const float o = out(cell, n)[objectness()];
        const float target = params_.rescore ? overlap_value : 1;
        d(cell, n)[objectness()] = params_.object_scale * (target - o) * o * (1 - o);
        class_rule(cell, n, truth.class_id, params_.class_scale);
        ++report_.count;
        report_.iou_sum += overlap_value;
    }

    int best_anchor_of(int cell, Box truth) const {
        int best = 0;
        float best_iou = 0;
        for (int n = 0; n < params_.num; ++n) {
            Box box = decode(cell, n);
            if (params_.bias_match) {
                box.w = params_.anchors[2 * n] / grid_.w;
                box.h = params_.anchors[2 * n + 1] / grid_.h;
            }
            const float value = iou({0, 0, box.w, box.h}, {0, 0, truth.w, truth.h});
            if (value > best_iou) {
                best_iou = value;
                best = n;
            }
        }
        return best;
    }

    void box_rule(int cell, int n, Box truth, float scale) const {
        const float* o = out(cell, n);
        const float x = logistic(o[0]), y = logistic(o[1]);
        float* delta = d(cell, n);
        delta[0] = scale * (truth.x * grid_.w - cell % grid_.w - x) * x * (1 - x);
        delta[1] = scale * (truth.y * grid_.h - cell / grid_.w - y) * y * (1 - y);
        delta[2] = scale * (std::log(truth.w * grid_.w / params_.anchors[2 * n]) - o[2]);
        delta[3] = scale * (std::log(truth.h * grid_.h / params_.anchors[2 * n + 1]) - o[3]);
    }

    void class_rule(int cell, int n, int class_id, float scale) const {
        const float* p = out(cell, n) + classes();
        float* delta = d(cell, n) + classes();
        if (!params_.tree.parent.empty()) return tree_rule(p, delta, class_id, scale);
        if (params_.focal_loss) {
            const float pt = p[class_id] + 1e-15f;
            scale *= 0.5f * -(1 - pt) * (2 * pt * std::log(pt) + pt - 1);
        }
        for (int c = 0; c < params_.classes; ++c) delta[c] = scale * ((c == class_id ? 1 : 0) - p[c]);
    }

    // Every group of siblings on the path from the class to the root.
    void tree_rule(const float* p, float* delta, int class_id, float scale) const {
        const Tree& tree = params_.tree;
        for (int node = class_id; node >= 0; node = tree.parent[node]) {
            const auto next = std::upper_bound(tree.group_offset.begin(), tree.group_offset.end(), node);
            const std::size_t group = next - tree.group_offset.begin() - 1;
            const int first = tree.group_offset[group];
            for (int i = first; i < first + tree.group_size[group]; ++i)
                delta[i] = scale * ((i == node ? 1 : 0) - p[i]);
        }
    }

    const RegionParams& params_;
    const Shape grid_;
    const int entries_;
    const LossContext& context_;
    const float* output_;
    float* delta_;
    std::size_t offset_ = 0;  // of the current image
    LossReport report_;
};

}  // namespace

LossReport region_loss(const Node& head, const LossContext& context, const float* output, float* delta) {
    return RegionLoss(head, context, output, delta).run();
}

}  // namespace dn
