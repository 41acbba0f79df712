// SPDX-License-Identifier: Apache-2.0
// An image of 8 or 16 bits becomes the input of a network: the definition of image.cpp, with the same operations in the
// same order, so that float32 inputs have the bits of the CPU's.
#pragma once

#include "portable.cuh"

namespace dn::cuda {

struct LoadImageArgs {
    const unsigned char* data;
    long long stride;                    // bytes from row to row
    int width, height, channels, depth;  // depth: bytes a value, 1 or 2
    bool bgr;
    View dst;                                 // of one image
    int out_width, out_height, out_channels;  // the network's
    int box_x, box_y, box_width, box_height;  // what the scaled image covers; grey elsewhere
};

// value = first_weight * src[first] + second_weight * src[second]
struct Taps {
    int first, second;
    float first_weight, second_weight;
};

DN_DEVICE Taps taps_of(int in, int out, int place) {
    float at = static_cast<float>(in - 1);
    if (place < out - 1) at = static_cast<float>(place) * (at / static_cast<float>(out - 1));
    const int first = smaller(static_cast<int>(at), in - 1);
    const float fraction = at - static_cast<float>(first);
    return {first, smaller(first + 1, in - 1), 1 - fraction, fraction};
}

DN_DEVICE unsigned raw_value(const LoadImageArgs& a, const unsigned char* pixel, int channel) {
    if (a.depth == 1) return pixel[channel];
    return pixel[2 * channel] | static_cast<unsigned>(pixel[2 * channel + 1]) << 8;
}

// Rec. 601 luma in 14-bit fixed point, rounded.
DN_DEVICE unsigned luma(const LoadImageArgs& a, const unsigned char* pixel) {
    const int red = a.bgr ? 2 : 0, blue = 2 - red;
    const unsigned sum =
        raw_value(a, pixel, red) * 4899u + raw_value(a, pixel, 1) * 9617u + raw_value(a, pixel, blue) * 1868u + 8192u;
    return sum >> 14;
}

DN_DEVICE float unit_value(const LoadImageArgs& a, int y, int x, int channel) {
    const unsigned char* pixel = a.data + y * a.stride + static_cast<long long>(x) * a.channels * a.depth;
    unsigned value = 0;
    if (a.out_channels == 1 && a.channels >= 3) {
        value = luma(a, pixel);
    } else {
        const bool swapped = a.bgr && (a.channels == 3 || a.channels == 4) && channel < 3;
        value = raw_value(a, pixel, a.channels == 1 ? 0 : swapped ? 2 - channel : channel);
    }
    return static_cast<float>(value) / (a.depth == 1 ? 255.0f : 65535.0f);
}

DN_DEVICE float row_value(const LoadImageArgs& a, int y, const Taps& columns, int channel) {
    return columns.first_weight * unit_value(a, y, columns.first, channel) +
           columns.second_weight * unit_value(a, y, columns.second, channel);
}

template <class T>
DN_DEVICE void load_image(const LoadImageArgs& a) {
    const long long count = static_cast<long long>(a.out_height) * a.out_width * a.out_channels;
    for (long long k = first_index(); k < count; k += index_step()) {
        const Quotient at = divide(k, a.out_channels), row = divide(at.quotient, a.out_width);
        const int y = static_cast<int>(row.quotient) - a.box_y, x = row.rest - a.box_x;
        float value = 0.5f;
        if (y >= 0 && y < a.box_height && x >= 0 && x < a.box_width) {
            const Taps rows = taps_of(a.height, a.box_height, y), columns = taps_of(a.width, a.box_width, x);
            value = rows.first_weight * row_value(a, rows.first, columns, at.rest) +
                    rows.second_weight * row_value(a, rows.second, columns, at.rest);
        }
        store<T>(a.dst, at.quotient, at.rest, value);
    }
}

DN_KERNEL(image, load_image, LoadImageArgs)

}  // namespace dn::cuda
