// SPDX-License-Identifier: Apache-2.0
// The keys that detection heads have in common: anchors and the augmentation of their training.
#pragma once

#include "layer.hpp"

namespace dn {

constexpr int kMaxClasses = 1 << 20;
constexpr int kMaxAnchors = 1 << 12;

// `num` pairs (w, h). Darknet drops what is too much and leaves 0.5 where there is none.
inline std::vector<float> read_anchors(CfgOptions& options, int num) {
    std::vector<float> anchors = options.reals("anchors");
    for (float side : anchors)
        if (!(side > 0)) options.fail("anchors", "found a value that is not positive; expected widths and heights");
    anchors.resize(std::size_t{2} * num, 0.5f);
    return anchors;
}

// Read by those who prepare the images of training.
inline void accept_augmentation(CfgOptions& options) { options.accept({"max", "jitter", "resize", "random"}); }

}  // namespace dn
