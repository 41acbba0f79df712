// SPDX-License-Identifier: Apache-2.0
#include "tile_input.hpp"

#include <cstring>

namespace dn::cuda {
namespace {

static_assert(kMostTiles == kMostTilesOfImage);

constexpr std::size_t kTable = 256;

std::size_t table_bytes(int channels) { return channels == 3 ? 3 * kTable : kTable; }
std::size_t place_bytes(int images) { return images * kMostTiles * sizeof(ComposedTile); }

// As OpenCV computes it.
double scale_of(int crop, int out) { return 1 / (static_cast<double>(out) / crop); }

// Appends what tiles point to behind what is there, and returns where it lies.
class Bytes {
public:
    Bytes(std::byte* memory, std::size_t used) : memory_(memory), used_(used) {}

    long long add(const unsigned char* rows, std::size_t stride, std::size_t row_bytes, int count) {
        const std::size_t at = used_;
        for (int y = 0; y < count && row_bytes > 0; ++y, used_ += row_bytes)
            std::memcpy(memory_ + used_, rows + y * stride, row_bytes);
        return static_cast<long long>(at);
    }
    std::size_t used() const { return used_; }

private:
    std::byte* memory_;
    std::size_t used_;
};

ComposedTile composed(const Tile& tile, Shape input, Bytes& bytes) {
    const std::size_t row = std::size_t{1} * tile.part_width * input.c;
    const std::size_t tables = table_bytes(input.c);
    ComposedTile to{scale_of(tile.crop_width, input.w),
                    scale_of(tile.crop_height, input.h),
                    bytes.add(tile.pixels, tile.stride, row, tile.part_height),
                    tile.tables ? bytes.add(tile.tables, tables, tables, 1) : -1,
                    tile.x,
                    tile.y,
                    tile.width,
                    tile.height,
                    tile.from_x,
                    tile.from_y,
                    tile.crop_width,
                    tile.crop_height,
                    tile.part_x,
                    tile.part_y,
                    tile.part_width,
                    tile.part_height,
                    tile.flip,
                    {}};
    std::memcpy(to.fill, tile.fill, sizeof to.fill);
    return to;
}

}  // namespace

std::size_t TileInput::bytes(Shape input, int images) {
    return place_bytes(images) + images * (most_pixel_bytes(input) + kMostTiles * table_bytes(input.c));
}

std::size_t TileInput::copy(const Tile* tiles, int count, std::byte* to) {
    if (!compose_) compose_.emplace(runtime_, kernel::compose, target_.type);
    auto* places = reinterpret_cast<ComposedTile*>(to);
    std::fill_n(places, target_.n * kMostTiles, ComposedTile{});
    Bytes bytes(to, place_bytes(target_.n));
    std::vector<int> of_image(target_.n);
    for (int i = 0; i < count; ++i) {
        const int image = tiles[i].image;
        places[image * kMostTiles + of_image[image]++] = composed(tiles[i], target_.shape, bytes);
    }
    return bytes.used();
}

void TileInput::enqueue(const void* data) const {
    const Shape input = target_.shape;
    (*compose_)(pixels_of(target_), {static_cast<const ComposedTile*>(data), static_cast<const unsigned char*>(data),
                                     view_of(target_), target_.n, input.h, input.w, input.c});
}

}  // namespace dn::cuda
