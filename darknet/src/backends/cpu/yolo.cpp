// SPDX-License-Identifier: Apache-2.0
// [yolo] and [Gaussian_yolo]: logistic on what is a probability or a position in a cell, scale_x_y on the positions.
#include "cpu.hpp"
#include "elementwise.hpp"

namespace dn::cpu {
namespace {

class Yolo : public Kernel {
public:
    explicit Yolo(const Context& context)
        : src_(context.src[0]), dst_(context.dst), params_(context.node.as<YoloParams>()) {}

    void forward() override {
        const std::size_t entries = params_.entries();
        const int anchors = static_cast<int>(params_.mask.size());
        const int cells = src_.n * src_.shape.h * src_.shape.w;
        parallel_for(cells, [&](int cell) {
            for (int a = 0; a < anchors; ++a) anchor(cell, a * entries, entries);
        });
    }

    std::string what() const override { return params_.gaussian ? "gaussian_yolo" : "yolo"; }

private:
    void anchor(std::size_t cell, std::size_t first, std::size_t entries) const {
        for (std::size_t e = 0; e < entries; e += kRow) {
            const Run run{cell, first + e, std::min(kRow, entries - e)};
            float row[kRow];
            load(row, src_, run);
            if (!params_.new_coords) logistic(row, run.count, e == 0);
            if (e == 0) spread_positions(row);
            store(dst_, run, row);
        }
    }

    // All entries but the sizes: 2, 3 of yolo and 4, 6 of Gaussian yolo (their uncertainties at 5 and 7 are included).
    void logistic(float* row, std::size_t count, bool with_box) const {
        const int w = params_.gaussian ? 4 : 2, h = params_.gaussian ? 6 : 3;
        const float sizes[] = {with_box ? row[w] : 0, with_box ? row[h] : 0};
        activate(row, count, Activation::logistic);
        if (!with_box) return;
        row[w] = sizes[0];
        row[h] = sizes[1];
    }

    void spread_positions(float* row) const {
        const float s = params_.scale_x_y, shift = (s - 1) / 2;
        float &x = row[0], &y = row[params_.gaussian ? 2 : 1];
        x = x * s - shift;
        y = y * s - shift;
    }

    Tensor src_, dst_;
    const YoloParams& params_;
};

}  // namespace

std::unique_ptr<Kernel> make_yolo(const Context& context) { return std::make_unique<Yolo>(context); }

std::unique_ptr<Kernel> make_gaussian_yolo(const Context& context) { return std::make_unique<Yolo>(context); }

}  // namespace dn::cpu
