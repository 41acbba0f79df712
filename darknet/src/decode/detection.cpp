// SPDX-License-Identifier: Apache-2.0
// [detection] (YOLOv1, 2015): all class probabilities, then all confidences, then all boxes.
#include "decode.hpp"

namespace dn {

void decode_detection(const Node& head, const float* output, Shape net, const DecodeOptions& options,
                      std::vector<Candidate>& out) {
    const auto& params = head.as<DetectionParams>();
    const BoxMapper to_image(net, options);
    const int cells = params.side * params.side;
    const float* confidences = output + static_cast<std::size_t>(cells) * params.classes;
    const float* boxes = confidences + static_cast<std::size_t>(cells) * params.num;
    const auto extent = [&](float v) { return params.sqrt ? v * v : v; };
    for (int i = 0; i < cells * params.num; ++i) {
        const int cell = i / params.num;
        const float* v = boxes + std::size_t{4} * i;
        Candidate candidate{};
        candidate.objectness = confidences[i];
        candidate.box = to_image({(v[0] + cell % params.side) / params.side, (v[1] + cell / params.side) / params.side,
                                  extent(v[2]), extent(v[3])});
        for (int c = 0; c < params.classes; ++c) {
            const float prob = confidences[i] * output[static_cast<std::size_t>(cell) * params.classes + c];
            candidate.prob.push_back(prob > options.thresh ? prob : 0);
        }
        out.push_back(std::move(candidate));
    }
}

}  // namespace dn
