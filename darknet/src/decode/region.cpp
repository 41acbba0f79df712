// SPDX-License-Identifier: Apache-2.0
// [region] (YOLOv2, Redmon & Farhadi 2016): values in the order (cell, anchor, entry), as its forward pass leaves them.
#include <algorithm>

#include "decode.hpp"

namespace dn {
namespace {

// Probability of each node of the tree: the product along its path. A parent stands before its children.
std::vector<float> down_the_tree(const Tree& tree, const float* conditional) {
    std::vector<float> prob(conditional, conditional + tree.parent.size());
    for (std::size_t c = 0; c < prob.size(); ++c)
        if (tree.parent[c] >= 0) prob[c] *= prob[tree.parent[c]];
    return prob;
}

// The deepest class that is more likely than not, and nothing else.
void keep_deepest(std::vector<float>& prob) {
    constexpr float likely = 0.5f;
    const auto last = std::find_if(prob.rbegin(), prob.rend(), [](float p) { return p > likely; });
    const auto kept = prob.rend() - last - 1;  // -1: none
    for (std::ptrdiff_t c = 0; c < static_cast<std::ptrdiff_t>(prob.size()); ++c)
        if (c != kept) prob[c] = 0;
}

std::vector<float> region_probabilities(const RegionParams& params, const float* classes, float objectness,
                                        float thresh) {
    if (params.tree.parent.empty()) {
        std::vector<float> prob(params.classes);
        for (int c = 0; c < params.classes; ++c) prob[c] = objectness * classes[c];
        for (float& p : prob) p = p > thresh ? p : 0;
        return prob;
    }
    std::vector<float> prob = down_the_tree(params.tree, classes);
    if (params.map.empty()) {
        keep_deepest(prob);
        if (!(objectness > thresh)) std::fill(prob.begin(), prob.end(), 0.0f);
        return prob;
    }
    std::vector<float> mapped;
    for (const int c : params.map) {
        const float p = objectness * prob.at(c);
        mapped.push_back(p > thresh ? p : 0);
    }
    return mapped;
}

int best_class(const std::vector<float>& prob) {
    const auto best = std::max_element(prob.begin(), prob.end());
    return best != prob.end() && *best > 0 ? static_cast<int>(best - prob.begin()) : -1;
}

}  // namespace

void decode_region(const Node& head, const float* output, Shape net, const DecodeOptions& options,
                   std::vector<Candidate>& out) {
    const auto& params = head.as<RegionParams>();
    const BoxMapper to_image(net, options);
    const Shape grid = head.in;
    const int cells = grid.w * grid.h, entries = params.coords + 1 + params.classes;
    for (int i = 0; i < cells * params.num; ++i, output += entries) {
        const int column = i / params.num % grid.w, row = i / params.num / grid.w;
        const float* anchor = &params.anchors[2 * (i % params.num)];
        float objectness = output[4];
        if (params.classfix == -1 && objectness < 0.5f) objectness = 0;
        Candidate candidate{};
        candidate.objectness = 1;  // as Darknet reports it: every record takes part in NMS
        candidate.box =
            to_image({(column + logistic(output[0])) / grid.w, (row + logistic(output[1])) / grid.h,
                      exponential(output[2], anchor[0], grid.w), exponential(output[3], anchor[1], grid.h)});
        candidate.prob = region_probabilities(params, output + 5, objectness, options.thresh);
        candidate.best_class = best_class(candidate.prob);
        out.push_back(std::move(candidate));
    }
}

}  // namespace dn
