// SPDX-License-Identifier: Apache-2.0
// Pixels in: from a user's interleaved image to the network's float planes (stretch or letterbox).
#pragma once

#include <cstdint>

#include "tensor.hpp"

namespace dn {

// A caller's image, interleaved rows: pixel (y, x) begins at data + y*stride + x*channels*depth.
struct ImageView {
    const void* data;
    int width, height, channels;
    std::size_t stride;  // bytes from row to row
    int depth;           // bytes per value: 1 (0..255) or 2 (0..65535)
    bool bgr;            // 3 and 4 channels: blue first
};

// How a w x h image sits in a netw x neth canvas (Darknet's letterbox): the scaled size and the paste corner.
struct Letterbox {
    int w, h, x, y;
};
Letterbox letterbox_of(int width, int height, int net_width, int net_height);

// Writes planes (c, h, w), RGB, 0..1 into dst, resized as Darknet does: corner-aligned bilinear, float32, horizontal
// first; its last row is computed like the others (Darknet's may turn black). Grey input feeds all of three planes.
// letterbox: aspect kept, the border 0.5. Throws Error(invalid_argument) when the channels cannot be matched.
void load_image(const ImageView& image, bool letterbox, Shape net, float* dst);

// The same resize for float planes (c, h, w) in 0..1, as the ABI's callers hold them.
void resize_planes(const float* src, Shape from, Shape to, float* dst);
void letterbox_planes(const float* src, Shape from, Shape to, float* dst);

}  // namespace dn
