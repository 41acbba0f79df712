// SPDX-License-Identifier: Apache-2.0
// Images of 8 bits become augmented inputs of a training: each pixel of the input is gathered from one tile, or is the
// mean of several. The arithmetic is that of OpenCV's resize (INTER_LINEAR) and cvtColor on bytes, with which the
// loader augments on the host: the same bits where colours stay, else equal to a step of 1/255, since OpenCV's way back
// from HSV rounds in one loop and truncates in another, the one for whole vectors.
#pragma once

#include "portable.cuh"

namespace dn::cuda {

// Part of an image, and where it is shown; see Tile in tile.hpp.
struct ComposedTile {
    double scale_x, scale_y;  // pixels of the crop to one of the input
    long long pixels;         // where its pixels begin, dense rows, blue first
    long long tables;         // where its tables of 256 bytes begin; below 0: colours stay
    int x, y, width, height;  // rectangle of the input; width 0: no tile
    int from_x, from_y;       // its corner in the whole crop at the size of the input
    int crop_width, crop_height;
    int part_x, part_y, part_width, part_height;  // what is there of the crop; the rest has the colour `fill`
    int flip;
    unsigned char fill[4];
};

constexpr int kMostTiles = 4;     // of an image
constexpr int kMostChannels = 3;  // constant bounds of loops keep colours in registers

struct ComposeArgs {
    const ComposedTile* tiles;  // kMostTiles an image
    const unsigned char* data;
    View dst;
    int images, height, width, channels;  // channels: 1, or 3
};

// value = (first_weight * pixel[first] + second_weight * pixel[second]) / 2048
struct ByteTaps {
    int first, second, first_weight, second_weight;
};

DN_DEVICE int rounded(float value) {
#if defined(DN_ON_DEVICE)
    return __float2int_rn(value);
#else
    return static_cast<int>(std::nearbyint(value));
#endif
}

// Pixels are half a pixel from the edge. `edge`: beyond the first and last one, the whole weight is that pixel's.
DN_DEVICE ByteTaps byte_taps(int in, double scale, int place, bool edge) {
    const float at = static_cast<float>((place + 0.5) * scale - 0.5);
    int first = static_cast<int>(at);
    if (static_cast<float>(first) > at) --first;
    float fraction = at - static_cast<float>(first);
    if (edge && (first < 0 || first >= in - 1)) {
        fraction = 0;
        first = first < 0 ? 0 : in - 1;
    }
    return {larger(smaller(first, in - 1), 0), larger(smaller(first + 1, in - 1), 0), rounded((1 - fraction) * 2048),
            rounded(fraction * 2048)};
}

DN_DEVICE int crop_value(const ComposeArgs& a, const ComposedTile& tile, int y, int x, int channel) {
    const int row = y - tile.part_y, column = x - tile.part_x;
    if (row < 0 || row >= tile.part_height || column < 0 || column >= tile.part_width) return tile.fill[channel];
    return a.data[tile.pixels + (static_cast<long long>(row) * tile.part_width + column) * a.channels + channel];
}

DN_DEVICE int row_of_crop(const ComposeArgs& a, const ComposedTile& tile, int y, const ByteTaps& columns, int channel) {
    return columns.first_weight * crop_value(a, tile, y, columns.first, channel) +
           columns.second_weight * crop_value(a, tile, y, columns.second, channel);
}

// Hue in steps of 2 degrees, saturation and value of a pixel with blue first, each changed by its table, and back.
struct Colour {
    int value[kMostChannels];
};

DN_DEVICE Colour recoloured(Colour from, const unsigned char* tables) {
    const int blue = from.value[0], green = from.value[1], red = from.value[2];
    const int most = larger(larger(blue, green), red), range = most - smaller(smaller(blue, green), red);
    constexpr int kShift = 12, kHalf = 1 << (kShift - 1);
    // Quotients in fixed point, rounded.
    const int of_most = most ? ((255 << (kShift + 1)) + most) / (2 * most) : 0;
    const int of_range = range ? ((30 << (kShift + 1)) + range) / (2 * range) : 0;
    int turn = 0;  // in sixths, times the range
    if (most == red)
        turn = green - blue;
    else if (most == green)
        turn = blue - red + 2 * range;
    else
        turn = red - green + 4 * range;
    turn = (turn * of_range + kHalf) >> kShift;
    if (turn < 0) turn += 180;

    float hue = static_cast<float>(tables[turn]) * (6.0f / 180);
    const float saturation = static_cast<float>(tables[256 + ((range * of_most + kHalf) >> kShift)]) * (1.0f / 255);
    const float value = static_cast<float>(tables[512 + most]) * (1.0f / 255);
    if (hue >= 6) hue -= 6;
    const int sector = static_cast<int>(hue);
    const float part = hue - static_cast<float>(sector);
    const float low = value * (1 - saturation), falling = value * (1 - saturation * part),
                rising = value * (1 - saturation * (1 - part));
    const float r = sector == 0 || sector == 5 ? value : sector == 1 ? falling : sector == 4 ? rising : low;
    const float g = sector == 1 || sector == 2 ? value : sector == 3 ? falling : sector == 0 ? rising : low;
    const float b = sector == 3 || sector == 4 ? value : sector == 5 ? falling : sector == 2 ? rising : low;
    return {{static_cast<int>(b * 255), static_cast<int>(g * 255), static_cast<int>(r * 255)}};
}

// The colour that a tile shows at a pixel of the input.
DN_DEVICE Colour colour_of(const ComposeArgs& a, const ComposedTile& tile, int y, int x) {
    const int column = x - tile.x + tile.from_x, row = y - tile.y + tile.from_y;
    const ByteTaps columns = byte_taps(tile.crop_width, tile.scale_x, tile.flip ? a.width - 1 - column : column, true);
    const ByteTaps rows = byte_taps(tile.crop_height, tile.scale_y, row, false);
    Colour colour{};
    for (int c = 0; c < kMostChannels && c < a.channels; ++c) {
        const int above = row_of_crop(a, tile, rows.first, columns, c) >> 4,
                  below = row_of_crop(a, tile, rows.second, columns, c) >> 4;
        colour.value[c] = (((rows.first_weight * above) >> 16) + ((rows.second_weight * below) >> 16) + 2) >> 2;
    }
    if (tile.tables < 0) return colour;
    if (a.channels == 3) return recoloured(colour, a.data + tile.tables);
    colour.value[0] = a.data[tile.tables + colour.value[0]];
    return colour;
}

template <class T>
DN_DEVICE void compose(const ComposeArgs& a) {
    const long long count = static_cast<long long>(a.images) * a.height * a.width;
    for (long long k = first_index(); k < count; k += index_step()) {
        const Place place = place_of(k, a.height, a.width);
        int sums[kMostChannels] = {0, 0, 0}, found = 0;
        for (int t = 0; t < kMostTiles; ++t) {
            const ComposedTile& tile = a.tiles[place.image * kMostTiles + t];
            if (place.x < tile.x || place.x >= tile.x + tile.width || place.y < tile.y ||
                place.y >= tile.y + tile.height)
                continue;
            const Colour colour = colour_of(a, tile, place.y, place.x);
            for (int c = 0; c < kMostChannels; ++c) sums[c] += colour.value[c];
            ++found;
        }
        for (int c = 0; c < kMostChannels && c < a.channels; ++c)  // red first
            store<T>(a.dst, k, a.channels - 1 - c,
                     static_cast<float>(sums[c]) / static_cast<float>(larger(found, 1)) / 255.0f);
    }
}

DN_KERNEL(compose, compose, ComposeArgs)

}  // namespace dn::cuda
