// SPDX-License-Identifier: Apache-2.0
// Head outputs -> candidates, in Darknet's order and with its arithmetic (Redmon & Farhadi 2016, 2018; YOLOv1: 2015;
// uncertainties: Choi et al. 2019). Nothing here changes a head's output.
#include "detect.hpp"

#include <algorithm>
#include <cmath>

#include "error.hpp"
#include "image.hpp"

namespace dn {
namespace {

// From coordinates relative to the network's input to those relative to the image, then to pixels if asked.
class BoxMapper {
public:
    BoxMapper(Shape net, const DecodeOptions& options) {
        if (options.letterbox) {
            const Letterbox box = letterbox_of(options.image_width, options.image_height, net.w, net.h);
            // Half of the exact margin, as in Darknet; pasting rounds it down, so odd margins differ by half a pixel.
            shift_x_ = static_cast<float>(net.w - box.w) / 2.0f / static_cast<float>(net.w);
            shift_y_ = static_cast<float>(net.h - box.h) / 2.0f / static_cast<float>(net.h);
            scale_x_ = static_cast<float>(box.w) / static_cast<float>(net.w);
            scale_y_ = static_cast<float>(box.h) / static_cast<float>(net.h);
        }
        if (!options.relative) {
            width_ = static_cast<float>(options.image_width);
            height_ = static_cast<float>(options.image_height);
        }
    }

    Box operator()(Box box) const {
        return {(box.x - shift_x_) / scale_x_ * width_, (box.y - shift_y_) / scale_y_ * height_,
                box.w / scale_x_ * width_, box.h / scale_y_ * height_};
    }

private:
    float shift_x_ = 0, shift_y_ = 0, scale_x_ = 1, scale_y_ = 1, width_ = 1, height_ = 1;
};

// Darknet evaluates these in double precision.
float exponential(float value, float anchor, int size) {
    return static_cast<float>(std::exp(double{value}) * anchor / size);
}
float logistic(float value) { return static_cast<float>(1.0 / (1.0 + std::exp(-double{value}))); }

// -- yolo, gaussian_yolo: planes; entry e of anchor slot a stands in plane a*entries + e
// --------------------------------

class YoloDecoder {
public:
    YoloDecoder(const Node& head, const float* output, Shape net, const DecodeOptions& options)
        : params_(head.as<YoloParams>()),
          output_(output),
          grid_(head.out),
          plane_(static_cast<std::size_t>(grid_.h) * grid_.w),
          net_(net),
          thresh_(options.thresh),
          to_image_(net, options) {}

    void decode(std::vector<Candidate>& out) const {
        const int slots = static_cast<int>(params_.mask.size());
        const int objectness = params_.gaussian ? 8 : 4;
        for (std::size_t cell = 0; cell < plane_; ++cell)
            for (int slot = 0; slot < slots; ++slot)
                if (at(slot, objectness, cell) > thresh_)
                    out.push_back(params_.gaussian ? gaussian(slot, cell) : plain(slot, cell));
    }

private:
    float at(int slot, int entry, std::size_t cell) const {
        return output_[(static_cast<std::size_t>(slot) * params_.entries() + entry) * plane_ + cell];
    }

    Box box(int slot, std::size_t cell, float x, float y, float w, float h) const {
        const float* anchor = &params_.anchors[2 * params_.mask[slot]];
        const auto column = static_cast<float>(cell % grid_.w), row = static_cast<float>(cell / grid_.w);
        Box out{(column + x) / grid_.w, (row + y) / grid_.h, 0, 0};
        if (params_.new_coords) {
            out.w = w * w * 4 * anchor[0] / net_.w;
            out.h = h * h * 4 * anchor[1] / net_.h;
        } else {
            out.w = exponential(w, anchor[0], net_.w);
            out.h = exponential(h, anchor[1], net_.h);
        }
        return out;
    }

    void fill_probabilities(int slot, std::size_t cell, int first, float certainty, Candidate& candidate) const {
        candidate.prob.resize(params_.classes);
        for (int c = 0; c < params_.classes; ++c) {
            const float prob = candidate.objectness * at(slot, first + c, cell) * certainty;
            candidate.prob[c] = prob > thresh_ ? prob : 0;
        }
    }

    Candidate plain(int slot, std::size_t cell) const {
        Candidate candidate{};
        candidate.objectness = at(slot, 4, cell);
        candidate.box =
            to_image_(box(slot, cell, at(slot, 0, cell), at(slot, 1, cell), at(slot, 2, cell), at(slot, 3, cell)));
        fill_probabilities(slot, cell, 5, 1, candidate);
        return candidate;
    }

    // Entries: value and uncertainty of x, y, w, h in turn, objectness, classes.
    Candidate gaussian(int slot, std::size_t cell) const {
        Candidate candidate{};
        candidate.objectness = at(slot, 8, cell);
        Box found = box(slot, cell, at(slot, 0, cell), at(slot, 2, cell), at(slot, 4, cell), at(slot, 6, cell));
        const float shift = params_.point == YoloPoint::left_top ? 0.5f : -0.5f;
        if (params_.point != YoloPoint::center) {
            found.x += shift * found.w;
            found.y += shift * found.h;
        }
        candidate.box = to_image_(found);
        float sum = 0;
        for (int i = 0; i < 4; ++i) sum += candidate.uncertainty[i] = at(slot, 2 * i + 1, cell);
        fill_probabilities(slot, cell, 9, 1 - sum / 4, candidate);
        return candidate;
    }

    const YoloParams& params_;
    const float* output_;
    Shape grid_;
    std::size_t plane_;
    Shape net_;
    float thresh_;
    BoxMapper to_image_;
};

// -- region (YOLOv2): (cell, anchor, entry), the order in which its forward pass leaves them
// ----------------------------

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

void require_four_coords(const Node& head, int coords) {
    if (coords != 4) throw Error(Status::cfg, head.where, text("found coords=", coords, ", boxes need 4"));
}

void decode_region(const Node& head, const float* output, Shape net, const DecodeOptions& options,
                   std::vector<Candidate>& out) {
    const auto& params = head.as<RegionParams>();
    require_four_coords(head, params.coords);
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

// -- detection (YOLOv1): all class probabilities, then all confidences, then all boxes
// ---------------------------------

void decode_detection(const Node& head, const float* output, Shape net, const DecodeOptions& options,
                      std::vector<Candidate>& out) {
    const auto& params = head.as<DetectionParams>();
    require_four_coords(head, params.coords);
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

}  // namespace

void decode_head(const Node& head, const float* output, Shape net_input, const DecodeOptions& options,
                 std::vector<Candidate>& out) {
    switch (head.kind) {
        case Kind::yolo:
        case Kind::gaussian_yolo:
            return YoloDecoder(head, output, net_input, options).decode(out);
        case Kind::region:
            return decode_region(head, output, net_input, options, out);
        case Kind::detection:
            return decode_detection(head, output, net_input, options, out);
        default:
            throw Error(Status::internal, head.where, "is no detection head");
    }
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
