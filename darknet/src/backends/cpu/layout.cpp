// SPDX-License-Identifier: Apache-2.0
#include "layout.hpp"

#include <algorithm>
#include <cstring>

#include "rows.hpp"

namespace dn::cpu {
namespace {

constexpr int kPixels = 64, kChannels = 64;  // a tile of both layouts that fits the first-level cache

struct Tile {
    int image, pixel, pixels;
};

template <class Body>
void for_each_strip(const Tensor& tensor, const Body& body) {
    const int plane = tensor.shape.h * tensor.shape.w;
    const int strips = (plane + kPixels - 1) / kPixels;
    parallel_for(tensor.n * strips, [&](int i) {
        const int pixel = i % strips * kPixels;
        body(Tile{i / strips, pixel, std::min(kPixels, plane - pixel)});
    });
}

template <class Data>
struct Pixels {
    Data* data;
    std::size_t pitch;
    DType type;
};

void convert_pixels(const Pixels<const void>& src, const Pixels<void>& dst, std::size_t count, std::size_t channels) {
    const std::size_t src_size = bytes(src.type), dst_size = bytes(dst.type);
    if (src.type == dst.type && src.pitch == channels && dst.pitch == channels)
        return void(std::memcpy(dst.data, src.data, count * channels * src_size));
    if (src.type == dst.type)
        return copy_rows(dst.data, dst.pitch * dst_size, src.data, src.pitch * src_size, channels * src_size, count);
    float row[kRow];
    for (std::size_t pixel = 0; pixel < count; ++pixel)
        for (std::size_t c = 0; c < channels; c += kRow) {
            const std::size_t part = std::min(kRow, channels - c);
            load(row, at(src.data, src.type, pixel * src.pitch + c), src.type, part);
            store(at(dst.data, dst.type, pixel * dst.pitch + c), dst.type, row, part);
        }
}

class Input : public Kernel {
public:
    Input(const float* const* planes, const Tensor& dst) : planes_(planes), dst_(dst) {}
    void forward() override { from_planes(*planes_, dst_); }
    std::string what() const override { return "reorder"; }

private:
    const float* const* planes_;
    Tensor dst_;
};

}  // namespace

void to_planes(const Tensor& src, float* dst) {
    const std::size_t plane = static_cast<std::size_t>(src.shape.h) * src.shape.w;
    for_each_strip(src, [&](const Tile& tile) {
        float rows[kPixels * kChannels];
        for (int c = 0; c < src.shape.c; c += kChannels) {
            const int channels = std::min(kChannels, src.shape.c - c);
            for (int p = 0; p < tile.pixels; ++p)
                load(rows + p * kChannels,
                     at(src.data, src.type, (tile.image * plane + tile.pixel + p) * src.pitch + c), src.type, channels);
            transpose(dst + (static_cast<std::size_t>(tile.image) * src.shape.c + c) * plane + tile.pixel, plane, rows,
                      kChannels, tile.pixels, channels);
        }
    });
}

void from_planes(const float* src, const Tensor& dst) {
    const std::size_t plane = static_cast<std::size_t>(dst.shape.h) * dst.shape.w;
    for_each_strip(dst, [&](const Tile& tile) {
        float rows[kPixels * kChannels];
        for (int c = 0; c < dst.shape.c; c += kChannels) {
            const int channels = std::min(kChannels, dst.shape.c - c);
            const float* planes = src + (static_cast<std::size_t>(tile.image) * dst.shape.c + c) * plane + tile.pixel;
            if (channels == 3)
                interleave_three(rows, planes, plane, tile.pixels);
            else
                transpose(rows, channels, planes, plane, channels, tile.pixels);
            void* first = at(dst.data, dst.type, (tile.image * plane + tile.pixel) * dst.pitch + c);
            if (dst.pitch == static_cast<std::size_t>(channels)) {
                store(first, dst.type, rows, static_cast<std::size_t>(tile.pixels) * channels);
                continue;
            }
            for (int p = 0; p < tile.pixels; ++p)
                store(at(first, dst.type, p * dst.pitch), dst.type, rows + p * channels, channels);
        }
    });
}

void copy_channels(const Tensor& src, int first, const Tensor& dst) {
    for_each_strip(dst, [&](const Tile& tile) {
        const std::size_t begin = static_cast<std::size_t>(tile.image) * dst.shape.h * dst.shape.w + tile.pixel;
        convert_pixels({at(src.data, src.type, begin * src.pitch + first), src.pitch, src.type},
                       {at(dst.data, dst.type, begin * dst.pitch), dst.pitch, dst.type}, tile.pixels, dst.shape.c);
    });
}

void copy_pixels(const Tensor& src, std::size_t first, std::size_t count, DType type, void* dst) {
    const std::size_t channels = src.shape.c;
    convert_pixels({at(src.data, src.type, first * src.pitch), src.pitch, src.type}, {dst, channels, type}, count,
                   channels);
}

FinishPixels pixels_of(const Tensor& dst, const Tensor& residual, float* sums, std::size_t first, std::size_t count) {
    return {sums,
            at(dst.data, dst.type, first * dst.pitch),
            dst.pitch,
            dst.type,
            residual.data ? at(residual.data, residual.type, first * residual.pitch) : nullptr,
            residual.pitch,
            residual.type,
            count,
            static_cast<std::size_t>(dst.shape.c)};
}

std::unique_ptr<Kernel> make_input(const float* const* planes, const Tensor& dst) {
    return std::make_unique<Input>(planes, dst);
}

}  // namespace dn::cpu
