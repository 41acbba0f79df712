// SPDX-License-Identifier: Apache-2.0
#include "tile.hpp"

#include <vector>

#include "error.hpp"

namespace dn {
namespace {

constexpr int kMostSide = 1 << 20;  // of a crop: products of places stay small

bool inside(int first, int size, int whole) {
    return first >= 0 && size >= 0 && first <= whole && size <= whole - first;
}

// What is wrong with a tile; "" for none.
const char* fault_of(const Tile& tile, int images, Shape input) {
    if (tile.image < 0 || tile.image >= images) return "is of an image outside of the mini-batch";
    if (!inside(tile.x, tile.width, input.w) || !inside(tile.y, tile.height, input.h))
        return "fills a rectangle outside of the input";
    if (!inside(tile.from_x, tile.width, input.w) || !inside(tile.from_y, tile.height, input.h))
        return "shows a rectangle outside of its crop";
    if (tile.crop_width < 1 || tile.crop_height < 1 || tile.crop_width > kMostSide || tile.crop_height > kMostSide)
        return "has a crop without pixels, or too large a one";
    if (!inside(tile.part_x, tile.part_width, tile.crop_width) ||
        !inside(tile.part_y, tile.part_height, tile.crop_height))
        return "has pixels outside of its crop";
    const std::size_t bytes = pixel_bytes(tile, input.c);
    if (bytes && (!tile.pixels || tile.stride < bytes / tile.part_height)) return "has no pixels, or too short rows";
    return "";
}

}  // namespace

void check_tiles(const Tile* tiles, int count, int images, Shape input) {
    const auto refuse = [](const std::string& message) { throw Error(Status::invalid_argument, "tiles", message); };
    if (input.c != 1 && input.c != 3)
        refuse(text("the network takes ", input.c, " channels, images are composed of 1 or 3"));
    std::vector<int> of_image(images);
    std::vector<std::size_t> bytes(images);
    for (int i = 0; i < count; ++i) {
        const std::string fault = fault_of(tiles[i], images, input);
        if (!fault.empty()) refuse(text("number ", i, " ", fault));
        const int image = tiles[i].image;
        if (++of_image[image] > kMostTilesOfImage)
            refuse(text("image ", image, " has more than ", kMostTilesOfImage, ", the most"));
        bytes[image] += pixel_bytes(tiles[i], input.c);
        if (bytes[image] > most_pixel_bytes(input))
            refuse(text("image ", image, " has more than ", most_pixel_bytes(input), " bytes of pixels, the most"));
    }
}

}  // namespace dn
