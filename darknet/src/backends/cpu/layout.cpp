// SPDX-License-Identifier: Apache-2.0
#include "layout.hpp"

#include <algorithm>

#include "rows.hpp"

namespace dn::cpu {
namespace {

constexpr int kPixels = 64, kChannels = 64;  // a tile of both layouts that fits the first-level cache

struct Tile {
    int image, pixel, pixels;
};

template <class Body> void for_each_strip(const Tensor& tensor, const Body& body) {
    const int plane = tensor.shape.h * tensor.shape.w;
    const int strips = (plane + kPixels - 1) / kPixels;
    parallel_for(tensor.n * strips, [&](int i) {
        const int pixel = i % strips * kPixels;
        body(Tile{i / strips, pixel, std::min(kPixels, plane - pixel)});
    });
}

class Input : public Kernel {
public:
    Input(const float* planes, const Tensor& dst) : planes_(planes), dst_(dst) {}
    void forward() override { from_planes(planes_, dst_); }
    std::string what() const override { return "reorder"; }

private:
    const float* planes_;
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
                load(rows + p * kChannels, at(src.data, src.type, (tile.image * plane + tile.pixel + p) * src.pitch + c),
                     src.type, channels);
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
            const float* planes =
                src + (static_cast<std::size_t>(tile.image) * dst.shape.c + c) * plane + tile.pixel;
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
    const std::size_t channels = dst.shape.c;
    for_each_strip(dst, [&](const Tile& tile) {
        const std::size_t begin = static_cast<std::size_t>(tile.image) * dst.shape.h * dst.shape.w + tile.pixel;
        if (src.type == dst.type) {
            copy_rows(at(dst.data, dst.type, begin * dst.pitch), dst.pitch * bytes(dst.type),
                      at(src.data, src.type, begin * src.pitch + first), src.pitch * bytes(src.type),
                      channels * bytes(src.type), tile.pixels);
            return;
        }
        float row[kRow];
        for (std::size_t p = begin; p < begin + tile.pixels; ++p)
            for (std::size_t c = 0; c < channels; c += kRow) {
                const std::size_t count = std::min(kRow, channels - c);
                load(row, at(src.data, src.type, p * src.pitch + first + c), src.type, count);
                store(at(dst.data, dst.type, p * dst.pitch + c), dst.type, row, count);
            }
    });
}

void copy_pixels(const Tensor& src, std::size_t first, std::size_t count, void* dst) {
    const std::size_t size = src.shape.c * bytes(src.type);
    copy_rows(dst, size, at(src.data, src.type, first * src.pitch), src.pitch * bytes(src.type), size, count);
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

std::unique_ptr<Kernel> make_input(const float* planes, const Tensor& dst) {
    return std::make_unique<Input>(planes, dst);
}

}  // namespace dn::cpu
