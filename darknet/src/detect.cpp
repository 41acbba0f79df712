// SPDX-License-Identifier: Apache-2.0
#include "detect.hpp"

#include <cmath>

#include "error.hpp"
#include "layers/layer.hpp"

namespace dn {

void decode_head(const Node& head, const float* output, Shape net_input, const DecodeOptions& options,
                 std::vector<Candidate>& out) {
    const LayerDef& def = layer_def(head.kind);
    if (!def.decode) throw Error(Status::internal, head.where, "is not a detection head");
    def.decode(head, output, net_input, options, out);
}

std::vector<Detection> flatten(const std::vector<Candidate>& candidates, int image_width, int image_height) {
    const auto width = static_cast<float>(image_width), height = static_cast<float>(image_height);
    std::vector<Detection> out;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
        const Box& box = candidates[i].box;
        const std::vector<float>& prob = candidates[i].prob;
        // e^w of a network early in its training may overflow: such a box is nowhere.
        if (!std::isfinite((box.x + box.w) * width) || !std::isfinite((box.y + box.h) * height)) continue;
        for (std::size_t c = 0; c < prob.size(); ++c)
            if (prob[c] > 0)
                out.push_back({(box.x - box.w / 2) * width, (box.y - box.h / 2) * height, (box.x + box.w / 2) * width,
                               (box.y + box.h / 2) * height, prob[c], static_cast<std::int32_t>(c),
                               static_cast<std::int32_t>(i)});
    }
    return out;
}

}  // namespace dn
