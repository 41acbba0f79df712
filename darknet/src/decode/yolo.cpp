// SPDX-License-Identifier: Apache-2.0
// [yolo] and [Gaussian_yolo] (Redmon & Farhadi 2018; uncertainties: Choi et al. 2019): planes; entry e of anchor slot a
// is in plane a*entries + e.
#include "decode.hpp"

namespace dn {
namespace {

// The values of one box, `step` floats apart.
struct Entries {
    const float* first;
    std::size_t step;
    float operator[](int entry) const { return first[entry * step]; }
};

class YoloDecoder {
public:
    YoloDecoder(const Node& head, Shape net, const DecodeOptions& options)
        : params_(head.as<YoloParams>()),
          grid_(head.out),
          net_(net),
          thresh_(options.thresh),
          to_image_(net, options) {}

    void decode(const float* output, std::vector<Candidate>& out) const {
        const std::size_t plane = static_cast<std::size_t>(grid_.h) * grid_.w;
        for (std::size_t cell = 0; cell < plane; ++cell)
            for (std::size_t slot = 0; slot < params_.mask.size(); ++slot)
                decode(static_cast<int>(slot), cell, {output + slot * params_.entries() * plane + cell, plane}, out);
    }

    void decode(int slot, std::size_t cell, Entries values, std::vector<Candidate>& out) const {
        if (values[objectness_entry(params_)] > thresh_)
            out.push_back(params_.gaussian ? gaussian(slot, cell, values) : plain(slot, cell, values));
    }

private:
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

    void fill_probabilities(Entries values, int first, float certainty, Candidate& candidate) const {
        candidate.prob.resize(params_.classes);
        for (int c = 0; c < params_.classes; ++c) {
            const float prob = candidate.objectness * values[first + c] * certainty;
            candidate.prob[c] = prob > thresh_ ? prob : 0;
        }
    }

    Candidate plain(int slot, std::size_t cell, Entries values) const {
        Candidate candidate{};
        candidate.objectness = values[4];
        candidate.box = to_image_(box(slot, cell, values[0], values[1], values[2], values[3]));
        fill_probabilities(values, 5, 1, candidate);
        return candidate;
    }

    // Entries: value and uncertainty of x, y, w, h in turn, objectness, classes.
    Candidate gaussian(int slot, std::size_t cell, Entries values) const {
        Candidate candidate{};
        candidate.objectness = values[8];
        Box found = box(slot, cell, values[0], values[2], values[4], values[6]);
        const float shift = params_.point == YoloPoint::left_top ? 0.5f : -0.5f;
        if (params_.point != YoloPoint::center) {
            found.x += shift * found.w;
            found.y += shift * found.h;
        }
        candidate.box = to_image_(found);
        float sum = 0;
        for (int i = 0; i < 4; ++i) sum += candidate.uncertainty[i] = values[2 * i + 1];
        fill_probabilities(values, 9, 1 - sum / 4, candidate);
        return candidate;
    }

    const YoloParams& params_;
    Shape grid_;
    Shape net_;
    float thresh_;
    BoxMapper to_image_;
};

}  // namespace

int objectness_entry(const YoloParams& params) { return params.gaussian ? 8 : 4; }

void decode_yolo(const Node& head, const float* output, Shape net, const DecodeOptions& options,
                 std::vector<Candidate>& out) {
    YoloDecoder(head, net, options).decode(output, out);
}

void decode_yolo_box(const Node& head, int number, const float* entries, Shape net, const DecodeOptions& options,
                     std::vector<Candidate>& out) {
    const int slots = static_cast<int>(head.as<YoloParams>().mask.size());
    YoloDecoder(head, net, options).decode(number % slots, static_cast<std::size_t>(number / slots), {entries, 1}, out);
}

}  // namespace dn
