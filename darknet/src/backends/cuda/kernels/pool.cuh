// SPDX-License-Identifier: Apache-2.0
// Pools and the blur of antialiasing. Backward passes are gathers: each input value adds what its windows give it, in a
// fixed order and without atomics.
#pragma once

#include "portable.cuh"

namespace dn::cuda {

// Windows of size x size, the first `offset` pixels above and left of the image.
struct PoolArgs {
    View src, dst;          // in backward passes: delta of the output, and that of the input
    unsigned short* index;  // by output value, dense: the place of its maximum in the window; null: not kept
    int images, height, width, out_height, out_width, channels;
    int size, stride_y, stride_x, offset;
    bool add;
};

constexpr float kNothing = -3.402823466e+38f;  // maximum of a window outside of the image
constexpr unsigned short kNoIndex = 65535;     // its index. Others must fit: a window has at most 255 pixels a side

template <class T>
DN_DEVICE void maxpool(const PoolArgs& a) {
    const long long pixels = static_cast<long long>(a.images) * a.out_height * a.out_width;
    for (long long k = first_index(); k < pixels * a.channels; k += index_step()) {
        const Quotient at = divide(k, a.channels);
        const Place out = place_of(at.quotient, a.out_height, a.out_width);
        const int top = out.y * a.stride_y - a.offset, left = out.x * a.stride_x - a.offset;
        float largest = kNothing;
        int best = kNoIndex;
        for (int y = larger(top, 0); y < smaller(top + a.size, a.height); ++y)
            for (int x = larger(left, 0); x < smaller(left + a.size, a.width); ++x) {
                const float value = load<T>(a.src, pixel_of(out.image, y, x, a.height, a.width), at.rest);
                if (value > largest) {
                    largest = value;
                    best = (y - top) * a.size + x - left;
                }
            }
        store<T>(a.dst, at.quotient, at.rest, largest);
        if (a.index) a.index[k] = static_cast<unsigned short>(best);
    }
}

// The windows, along one axis, that a place is in: first to last.
struct Windows {
    int first, last;
};

DN_DEVICE Windows windows_of(int place, int offset, int size, int stride, int count) {
    const int behind = place + offset - size + 1;
    return {behind > 0 ? (behind + stride - 1) / stride : 0, smaller((place + offset) / stride, count - 1)};
}

// src: delta of the output; dst: that of the input.
template <class T>
DN_DEVICE void maxpool_backward(const PoolArgs& a) {
    const long long pixels = static_cast<long long>(a.images) * a.height * a.width;
    for (long long k = first_index(); k < pixels * a.channels; k += index_step()) {
        const Quotient at = divide(k, a.channels);
        const Place in = place_of(at.quotient, a.height, a.width);
        const Windows rows = windows_of(in.y, a.offset, a.size, a.stride_y, a.out_height);
        const Windows columns = windows_of(in.x, a.offset, a.size, a.stride_x, a.out_width);
        float sum = 0;
        for (int oy = rows.first; oy <= rows.last; ++oy)
            for (int ox = columns.first; ox <= columns.last; ++ox) {
                const long long out = pixel_of(in.image, oy, ox, a.out_height, a.out_width);
                const int own = (in.y + a.offset - oy * a.stride_y) * a.size + in.x + a.offset - ox * a.stride_x;
                if (a.index[out * a.channels + at.rest] == own) sum += load<T>(a.src, out, at.rest);
            }
        put<T>(a.dst, at.quotient, at.rest, sum, a.add);
    }
}

// The maximum of channels c, c + out_channels, c + 2 out_channels, ...
struct ChannelPoolArgs {
    View src, dst;
    View delta, target;  // backward: of dst, of src
    long long pixels;
    int channels, out_channels;
    bool add;
};

template <class T>
DN_DEVICE void channel_maxpool(const ChannelPoolArgs& a) {
    for (long long k = first_index(); k < a.pixels * a.out_channels; k += index_step()) {
        const Quotient at = divide(k, a.out_channels);
        float largest = kNothing;
        for (int c = at.rest; c < a.channels; c += a.out_channels) {
            const float value = load<T>(a.src, at.quotient, c);
            if (value > largest) largest = value;
        }
        store<T>(a.dst, at.quotient, at.rest, largest);
    }
}

// The first maximum takes the delta.
template <class T>
DN_DEVICE void channel_maxpool_backward(const ChannelPoolArgs& a) {
    for (long long k = first_index(); k < a.pixels * a.out_channels; k += index_step()) {
        const Quotient at = divide(k, a.out_channels);
        int best = at.rest;
        for (int c = at.rest; c < a.channels; c += a.out_channels)
            if (load<T>(a.src, at.quotient, c) > load<T>(a.src, at.quotient, best)) best = c;
        const float delta = load<T>(a.delta, at.quotient, at.rest);
        for (int c = at.rest; c < a.channels; c += a.out_channels)
            put<T>(a.target, at.quotient, c, c == best ? delta : 0, a.add);
    }
}

// The pixels of a window that are inside of the image, along one axis.
DN_DEVICE int inside(int first, int size, int limit) {
    return larger(smaller(first + size, limit) - larger(first, 0), 0);
}

// The mean of what is inside of the image.
template <class T>
DN_DEVICE void local_avgpool(const PoolArgs& a) {
    const long long pixels = static_cast<long long>(a.images) * a.out_height * a.out_width;
    for (long long k = first_index(); k < pixels * a.channels; k += index_step()) {
        const Quotient at = divide(k, a.channels);
        const Place out = place_of(at.quotient, a.out_height, a.out_width);
        const int top = out.y * a.stride_y - a.offset, left = out.x * a.stride_x - a.offset;
        float sum = 0;
        for (int y = larger(top, 0); y < smaller(top + a.size, a.height); ++y)
            for (int x = larger(left, 0); x < smaller(left + a.size, a.width); ++x)
                sum += load<T>(a.src, pixel_of(out.image, y, x, a.height, a.width), at.rest);
        const int count = inside(top, a.size, a.height) * inside(left, a.size, a.width);
        store<T>(a.dst, at.quotient, at.rest, count == 0 ? 0 : sum / static_cast<float>(count));
    }
}

// src: delta of the output; dst: that of the input.
template <class T>
DN_DEVICE void local_avgpool_backward(const PoolArgs& a) {
    const long long pixels = static_cast<long long>(a.images) * a.height * a.width;
    for (long long k = first_index(); k < pixels * a.channels; k += index_step()) {
        const Quotient at = divide(k, a.channels);
        const Place in = place_of(at.quotient, a.height, a.width);
        const Windows rows = windows_of(in.y, a.offset, a.size, a.stride_y, a.out_height);
        const Windows columns = windows_of(in.x, a.offset, a.size, a.stride_x, a.out_width);
        float sum = 0;
        for (int oy = rows.first; oy <= rows.last; ++oy)
            for (int ox = columns.first; ox <= columns.last; ++ox) {
                const int count = inside(oy * a.stride_y - a.offset, a.size, a.height) *
                                  inside(ox * a.stride_x - a.offset, a.size, a.width);
                sum += load<T>(a.src, pixel_of(in.image, oy, ox, a.out_height, a.out_width), at.rest) /
                       static_cast<float>(count);
            }
        put<T>(a.dst, at.quotient, at.rest, sum, a.add);
    }
}

// The mean of each channel of each image, on a grid (tiles of kLanes channels, images). Backward: dst is the delta of
// the output, a pixel an image, src that of the input; any grid.
struct AvgpoolArgs {
    View src, dst;
    int images, pixels, channels;  // pixels of an image
    bool add;
};

template <class T>
DN_DEVICE void avgpool(const AvgpoolArgs& a) {
    const int c = static_cast<int>(blockIdx.x) * kLanes + lane();
    const long long first = static_cast<long long>(blockIdx.y) * a.pixels;
    float sum = 0;
    if (c < a.channels)
        for (int p = warp(); p < a.pixels; p += kWarps) sum += load<T>(a.src, first + p, c);
    sum = lane_sum(sum);
    if (warp() == 0 && c < a.channels) store<T>(a.dst, blockIdx.y, c, sum / static_cast<float>(a.pixels));
}

template <class T>
DN_DEVICE void avgpool_backward(const AvgpoolArgs& a) {
    const long long pixels = static_cast<long long>(a.images) * a.pixels;
    for (long long k = first_index(); k < pixels * a.channels; k += index_step()) {
        const Quotient at = divide(k, a.channels), image = divide(at.quotient, a.pixels);
        const float share = load<T>(a.dst, image.quotient, at.rest) / static_cast<float>(a.pixels);
        put<T>(a.src, at.quotient, at.rest, share, a.add);
    }
}

// The low-pass filter of antialiasing on each channel. mode 1: [1 2 1]' [1 2 1] / 16 padded by 1; mode 2: 2x2 of 1/4.
struct BlurArgs {
    View src, dst;
    int images, height, width, out_height, out_width, channels;
    int mode, stride_y, stride_x;
};

DN_DEVICE float blur_weight(int mode, int u, int v) {
    return mode == 1 ? static_cast<float>((u == 1 ? 2 : 1) * (v == 1 ? 2 : 1)) / 16 : 0.25f;
}

template <class T>
DN_DEVICE void blur(const BlurArgs& a) {
    const int size = a.mode == 1 ? 3 : 2, pad = a.mode == 1 ? 1 : 0;
    const long long pixels = static_cast<long long>(a.images) * a.out_height * a.out_width;
    for (long long k = first_index(); k < pixels * a.channels; k += index_step()) {
        const Quotient at = divide(k, a.channels);
        const Place out = place_of(at.quotient, a.out_height, a.out_width);
        const int top = out.y * a.stride_y - pad, left = out.x * a.stride_x - pad;
        float sum = 0;
        for (int y = larger(top, 0); y < smaller(top + size, a.height); ++y)
            for (int x = larger(left, 0); x < smaller(left + size, a.width); ++x)
                sum += blur_weight(a.mode, y - top, x - left) *
                       load<T>(a.src, pixel_of(out.image, y, x, a.height, a.width), at.rest);
        store<T>(a.dst, at.quotient, at.rest, sum);
    }
}

DN_KERNEL(pool, maxpool, PoolArgs)
DN_KERNEL(pool, maxpool_backward, PoolArgs)
DN_KERNEL(pool, channel_maxpool, ChannelPoolArgs)
DN_KERNEL(pool, channel_maxpool_backward, ChannelPoolArgs)
DN_KERNEL(pool, local_avgpool, PoolArgs)
DN_KERNEL(pool, local_avgpool_backward, PoolArgs)
DN_KERNEL(pool, avgpool, AvgpoolArgs)
DN_KERNEL(pool, avgpool_backward, AvgpoolArgs)
DN_KERNEL(pool, blur, BlurArgs)

}  // namespace dn::cuda
