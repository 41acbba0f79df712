// SPDX-License-Identifier: Apache-2.0
// From a head's output to candidates, in Darknet's order and with its arithmetic; one function for each kind of head,
// registered by its layer. Nothing here changes a head's output.
#pragma once

#include <cmath>

#include "../detect.hpp"
#include "../image.hpp"

namespace dn {

void decode_yolo(const Node& head, const float* output, Shape net, const DecodeOptions& options,
                 std::vector<Candidate>& out);  // [yolo] and [Gaussian_yolo]
// Box number `number` = cell * anchors + anchor of such a head, from its entries one after the other.
void decode_yolo_box(const Node& head, int number, const float* entries, Shape net, const DecodeOptions& options,
                     std::vector<Candidate>& out);
// The entry of a box that the threshold is compared with.
int objectness_entry(const YoloParams& params);
void decode_region(const Node& head, const float* output, Shape net, const DecodeOptions& options,
                   std::vector<Candidate>& out);
void decode_detection(const Node& head, const float* output, Shape net, const DecodeOptions& options,
                      std::vector<Candidate>& out);

// -- helpers shared by the decoders ------------------------------------------------------------------------------

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
inline float exponential(float value, float anchor, int size) {
    return static_cast<float>(std::exp(double{value}) * anchor / size);
}
inline float logistic(float value) { return static_cast<float>(1.0 / (1.0 + std::exp(-double{value}))); }

}  // namespace dn
