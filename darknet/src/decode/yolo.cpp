// SPDX-License-Identifier: Apache-2.0
// [yolo] and [Gaussian_yolo] (Redmon & Farhadi 2018; uncertainties: Choi et al. 2019): planes; entry e of anchor slot a
// is in plane a*entries + e.
#include "decode.hpp"

namespace dn {
namespace {

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

}  // namespace

void decode_yolo(const Node& head, const float* output, Shape net, const DecodeOptions& options,
                 std::vector<Candidate>& out) {
    YoloDecoder(head, output, net, options).decode(out);
}

}  // namespace dn
