// SPDX-License-Identifier: Apache-2.0
// What moves values: changes of layout and type, route, upsample, reorg and crop, dropout. Each kernel replaces its
// target or adds to it; the backward pass of most is one of them again.
#pragma once

#include "portable.cuh"

namespace dn::cuda {

// dst = scale * src, times the channel's factor.
struct CopyArgs {
    View src, dst;
    const float* factors;  // by channel; null: none
    long long pixels;
    int channels;
    float scale;
    bool add;
};

template <class From, class To>
DN_DEVICE void copy_values(const CopyArgs& a) {
    for (long long k = first_index(); k < a.pixels * a.channels; k += index_step()) {
        const Quotient at = divide(k, a.channels);
        const float factor = a.factors ? a.scale * a.factors[at.rest] : a.scale;
        put<To>(a.dst, at.quotient, at.rest, factor * load<From>(a.src, at.quotient, at.rest), a.add);
    }
}

template <class T>
DN_DEVICE void copy(const CopyArgs& a) {
    copy_values<T, T>(a);
}
// Towards float32 and back: the tensors of heads are float32.
template <class T>
DN_DEVICE void copy_to_f32(const CopyArgs& a) {
    copy_values<T, float>(a);
}
template <class T>
DN_DEVICE void copy_from_f32(const CopyArgs& a) {
    copy_values<float, T>(a);
}

// Float32 planes (n, c, h, w) and a tensor, on a grid (tiles of kLanes pixels, tiles of kLanes channels, images): a
// tile goes through shared memory, so that both sides are read and written along their rows.
struct PlanesArgs {
    float* planes;
    View view;
    long long planes_step;  // values from image to image of the planes; 0: all images have the same
    int pixels, channels;   // of an image
};

constexpr int kTileRow = kLanes + 1;  // banks of a column differ

template <class T>
DN_DEVICE void from_planes(const PlanesArgs& a) {
    DN_SHARED(float, tile, kLanes* kTileRow);
    const int pixel = static_cast<int>(blockIdx.x) * kLanes, channel = static_cast<int>(blockIdx.y) * kLanes;
    const float* planes = a.planes + a.planes_step * blockIdx.z;
    for (int c = warp(); c < kLanes; c += kWarps)
        if (channel + c < a.channels && pixel + lane() < a.pixels)
            tile[c * kTileRow + lane()] = planes[static_cast<long long>(channel + c) * a.pixels + pixel + lane()];
    __syncthreads();
    for (int p = warp(); p < kLanes; p += kWarps)
        if (channel + lane() < a.channels && pixel + p < a.pixels)
            store<T>(a.view, static_cast<long long>(blockIdx.z) * a.pixels + pixel + p, channel + lane(),
                     tile[lane() * kTileRow + p]);
}

template <class T>
DN_DEVICE void to_planes(const PlanesArgs& a) {
    DN_SHARED(float, tile, kLanes* kTileRow);
    const int pixel = static_cast<int>(blockIdx.x) * kLanes, channel = static_cast<int>(blockIdx.y) * kLanes;
    float* planes = a.planes + a.planes_step * blockIdx.z;
    for (int p = warp(); p < kLanes; p += kWarps)
        if (channel + lane() < a.channels && pixel + p < a.pixels)
            tile[lane() * kTileRow + p] =
                load<T>(a.view, static_cast<long long>(blockIdx.z) * a.pixels + pixel + p, channel + lane());
    __syncthreads();
    for (int c = warp(); c < kLanes; c += kWarps)
        if (channel + c < a.channels && pixel + lane() < a.pixels)
            planes[static_cast<long long>(channel + c) * a.pixels + pixel + lane()] = tile[c * kTileRow + lane()];
}

// A tensor and another one `stride` times as high and wide; what of that is left over at the right and at the bottom
// belongs to no block.
struct UpsampleArgs {
    View src, dst;
    int images, height, width, large_height, large_width;
    int channels, stride;
    float scale;
    bool add;
};

// dst[y, x] = scale * src[y / stride, x / stride]
template <class T>
DN_DEVICE void spread(const UpsampleArgs& a) {
    const long long pixels = static_cast<long long>(a.images) * a.large_height * a.large_width;
    for (long long k = first_index(); k < pixels * a.channels; k += index_step()) {
        const Quotient at = divide(k, a.channels);
        const Place to = place_of(at.quotient, a.large_height, a.large_width);
        const int y = to.y / a.stride, x = to.x / a.stride;
        float value = 0;
        if (y < a.height && x < a.width) value = load<T>(a.src, pixel_of(to.image, y, x, a.height, a.width), at.rest);
        put<T>(a.dst, at.quotient, at.rest, a.scale * value, a.add);
    }
}

// dst[y, x] = scale * the sum of its block of src
template <class T>
DN_DEVICE void collect(const UpsampleArgs& a) {
    const long long pixels = static_cast<long long>(a.images) * a.height * a.width;
    for (long long k = first_index(); k < pixels * a.channels; k += index_step()) {
        const Quotient at = divide(k, a.channels);
        const Place to = place_of(at.quotient, a.height, a.width);
        float sum = 0;
        for (int u = 0; u < a.stride; ++u)
            for (int v = 0; v < a.stride; ++v)
                sum += load<T>(
                    a.src, pixel_of(to.image, to.y * a.stride + u, to.x * a.stride + v, a.large_height, a.large_width),
                    at.rest);
        put<T>(a.dst, at.quotient, at.rest, a.scale * sum, a.add);
    }
}

// Any fixed map between the values of an image: value k = pixel * channels + channel of dst = scale * that number
// from[k] of src, counted likewise, + offset. A negative number leaves dst alone.
struct GatherArgs {
    View src, dst;
    const int* from;
    int images, src_pixels, src_channels, pixels, channels;  // of an image
    float scale, offset;
    bool add;
};

template <class T>
DN_DEVICE void gather(const GatherArgs& a) {
    const int count = a.pixels * a.channels;
    for (long long k = first_index(); k < static_cast<long long>(a.images) * count; k += index_step()) {
        const Quotient image = divide(k, count);
        const int number = a.from[image.rest];
        if (number < 0) continue;
        const float value =
            load<T>(a.src, image.quotient * a.src_pixels + number / a.src_channels, number % a.src_channels);
        put<T>(a.dst, image.quotient * a.pixels + image.rest / a.channels, image.rest % a.channels,
               a.scale * value + a.offset, a.add);
    }
}

// dst = mask * src. The mask is a function of where the run stands; values are counted as in planes, so it is the
// CPU's. The backward pass draws it again.
struct DropoutArgs {
    View src, dst;
    const unsigned long long* seen;  // images trained on
    int images, pixels, channels;    // pixels of an image
    int node;
    float probability;
    bool add;
};

template <class T>
DN_DEVICE void dropout(const DropoutArgs& a) {
    const unsigned long long stream = mix(mix(*a.seen) + static_cast<unsigned long long>(a.node));
    const long long pixels = static_cast<long long>(a.images) * a.pixels;
    for (long long k = first_index(); k < pixels * a.channels; k += index_step()) {
        const Quotient at = divide(k, a.channels), image = divide(at.quotient, a.pixels);
        const long long number = (image.quotient * a.channels + at.rest) * a.pixels + image.rest;
        const bool dropped = uniform(stream, static_cast<unsigned long long>(number)) < a.probability;
        const float mask = dropped ? 0 : 1 / (1 - a.probability);
        put<T>(a.dst, at.quotient, at.rest, mask * load<T>(a.src, at.quotient, at.rest), a.add);
    }
}

DN_KERNEL(move, copy, CopyArgs)
DN_KERNEL(move, copy_to_f32, CopyArgs)
DN_KERNEL(move, copy_from_f32, CopyArgs)
DN_KERNEL(move, from_planes, PlanesArgs)
DN_KERNEL(move, to_planes, PlanesArgs)
DN_KERNEL(move, spread, UpsampleArgs)
DN_KERNEL(move, collect, UpsampleArgs)
DN_KERNEL(move, gather, GatherArgs)
DN_KERNEL(move, dropout, DropoutArgs)

}  // namespace dn::cuda
