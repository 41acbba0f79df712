// SPDX-License-Identifier: Apache-2.0
// The keys that detection heads have in common: anchors and the augmentation of their training.
#pragma once

#include "layer.hpp"

namespace dn {

constexpr int kMaxClasses = 1 << 20;
constexpr int kMaxAnchors = 1 << 12;
constexpr int kMaxBoxes = 1 << 20;

// `num` pairs (w, h). Darknet drops what is too much and leaves 0.5 where there is none.
inline std::vector<float> read_anchors(CfgOptions& options, int num) {
    std::vector<float> anchors = options.reals("anchors");
    for (float side : anchors)
        if (!(side > 0)) options.fail("anchors", "found a value that is not positive; expected widths and heights");
    anchors.resize(std::size_t{2} * num, 0.5f);
    return anchors;
}

template <class Params>
void read_augmentation(CfgOptions& options, Params& params) {
    params.max_boxes = options.integer("max", params.max_boxes, 1, kMaxBoxes);
    params.jitter = options.real("jitter", params.jitter);
    params.resize = options.real("resize", params.resize);
    params.random = options.real("random", params.random);
}

}  // namespace dn
