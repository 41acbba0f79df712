// SPDX-License-Identifier: Apache-2.0
// Augmented inputs of a training, described instead of computed: which part of an image is shown where, and how.
#pragma once

#include <cstddef>

#include "tensor.hpp"

namespace dn {

// A part of an image of 8 bits, blue first, that fills a rectangle of an input. The crop is a rectangle of the image,
// or reaches beyond it; resized to the size of the input and, if `flip`, mirrored, it is shown from (from_x, from_y)
// on. Where several tiles cover a pixel it is their mean; where none does it is 0.
struct Tile {
    const unsigned char* pixels;  // part_height rows
    std::size_t stride;           // bytes from row to row
    const unsigned char* tables;  // 256 new values each for hue, saturation and value, or for grey; null: none
    int image;                    // of the mini-batch
    int x, y, width, height;
    int from_x, from_y;
    int crop_width, crop_height;
    int part_x, part_y, part_width,
        part_height;  // where the pixels lie in the crop; elsewhere it has the colour `fill`
    int flip;
    unsigned char fill[4];
};

constexpr int kMostTilesOfImage = 4;

// Bytes of its pixels, dense.
inline std::size_t pixel_bytes(const Tile& tile, int channels) {
    return std::size_t{1} * tile.part_width * tile.part_height * channels;
}

// The input has as many values, each of which the pixels of an image's tiles may give as many bytes as a float has.
inline std::size_t most_pixel_bytes(Shape input) { return input.size() * sizeof(float); }

// Throws Error(invalid_argument) for tiles that no input of this shape has, or one with other than 1 or 3 channels.
void check_tiles(const Tile* tiles, int count, int images, Shape input);

}  // namespace dn
