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
        for_each_run(dst_, false, [&](const Run& run) {
            float raw[kRow], row[kRow];
            load(raw, src_, run);
            std::copy_n(raw, run.count, row);
            if (!params_.new_coords) activate(row, run.count, Activation::logistic);
            correct_boxes(raw, row, run);
            store(dst_, run, row);
        });
    }

    std::string what() const override { return params_.gaussian ? "gaussian_yolo" : "yolo"; }

private:
    // Sizes stay raw, at entries 2 and 3, of Gaussian yolo 4 and 6 (each mean is followed by its uncertainty);
    // positions are spread by scale_x_y.
    void correct_boxes(const float* raw, float* row, const Run& run) const {
        const std::size_t step = params_.gaussian ? 2 : 1, entries = params_.entries();
        const float s = params_.scale_x_y, shift = (s - 1) / 2;
        const std::size_t end = run.channel + run.count;
        for (std::size_t box = run.channel / entries * entries; box < end; box += entries)
            for (std::size_t i = 0; i < 4; ++i) {
                const std::size_t entry = box + i * step;
                if (entry < run.channel || entry >= end) continue;
                float& value = row[entry - run.channel];
                value = i < 2 ? value * s - shift : raw[entry - run.channel];
            }
    }

    Tensor src_, dst_;
    const YoloParams& params_;
};

}  // namespace

std::unique_ptr<Kernel> make_yolo(const Context& context) { return std::make_unique<Yolo>(context); }

std::unique_ptr<Kernel> make_gaussian_yolo(const Context& context) { return std::make_unique<Yolo>(context); }

}  // namespace dn::cpu
