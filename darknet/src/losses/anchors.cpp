// SPDX-License-Identifier: Apache-2.0
#include "anchors.hpp"

#include <algorithm>
#include <cmath>

namespace dn {

std::vector<TruthBox> truths_of(const Truths& truths, int image, int classes) {
    constexpr std::size_t kRow = 6;
    std::vector<TruthBox> found;
    const float* row = truths.of(image);
    for (std::size_t i = 0; i + kRow <= truths.stride && row[i] != 0; i += kRow) {
        const float id = row[i + 4];
        if (!(id >= 0 && id < static_cast<float>(classes))) continue;  // also skips NaN
        found.push_back({{row[i], row[i + 1], row[i + 2], row[i + 3]}, static_cast<int>(id)});
    }
    return found;
}

Slot Head::slot(int anchor_slot, int row, int column) const {
    const std::size_t step = static_cast<std::size_t>(grid.h) * grid.w;
    const std::size_t base = anchor_slot * params.entries() * step + static_cast<std::size_t>(row) * grid.w + column;
    return {output + base, delta + base, step};
}

Box Head::anchor(int index) const {
    return {0, 0, params.anchors[2 * index] / input.w, params.anchors[2 * index + 1] / input.h};
}

int best_anchor(const Head& head, Box truth) {
    const Box size{0, 0, truth.w, truth.h};
    int best = 0;
    float best_iou = 0;
    for (int n = 0; n < head.params.num; ++n) {
        const float value = iou(head.anchor(n), size);
        if (value > best_iou) {
            best_iou = value;
            best = n;
        }
    }
    return best;
}

std::vector<float> class_multipliers(const YoloParams& params) {
    std::vector<float> multipliers(params.classes, 1);
    if (params.counters_per_class.empty()) return multipliers;
    const auto count = [&](int i) { return static_cast<float>(std::max(1, params.counters_per_class[i])); };
    float largest = 1;
    for (int i = 0; i < params.classes; ++i) largest = std::max(largest, count(i));
    for (int i = 0; i < params.classes; ++i) multipliers[i] = std::min(largest / count(i), params.max_delta);
    return multipliers;
}

float clamped(float gradient, float max_delta) {
    if (!std::isfinite(gradient)) return 0;
    return std::clamp(gradient, -max_delta, max_delta);
}

}  // namespace dn
