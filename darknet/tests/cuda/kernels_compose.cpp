// SPDX-License-Identifier: Apache-2.0
// kernels/compose.cuh against interpolation in double precision, and colours by hand. tests/training/test_tiles.py
// compares with OpenCV.
#include "kernels.hpp"

#include "backends/cuda/kernels/compose.cuh"

using namespace dn;
using namespace dn::test;
using cuda::ComposedTile;

namespace {

constexpr Shape kInput{3, 24, 32};
constexpr float kStep = 1.0f / 255;

std::vector<unsigned char> random_bytes(std::size_t count, std::uint64_t seed) {
    std::vector<unsigned char> bytes(count);
    for (std::size_t k = 0; k < count; ++k) bytes[k] = static_cast<unsigned char>(256 * uniform(seed, k));
    return bytes;
}

// A tile that fills a rectangle; the part of the crop begins at (part_x, part_y) and has these pixels at `at`.
struct Area {
    int x, y, width, height, from_x, from_y;
};
ComposedTile tile_of(Shape input, Area area, Shape crop, Area part, bool flip, long long at, long long tables = -1) {
    return {crop.w / static_cast<double>(input.w),
            crop.h / static_cast<double>(input.h),
            at,
            tables,
            area.x,
            area.y,
            area.width,
            area.height,
            area.from_x,
            area.from_y,
            crop.w,
            crop.h,
            part.x,
            part.y,
            part.width,
            part.height,
            flip,
            {10, 20, 30, 0}};
}

bool shows(const ComposedTile& tile, int y, int x) {
    return x >= tile.x && x < tile.x + tile.width && y >= tile.y && y < tile.y + tile.height;
}

// Value of channel c, blue first, between the pixels of the crop around a point: 0..255.
double interpolated(const ComposedTile& tile, const std::vector<unsigned char>& data, Shape input, int y, int x,
                    int c) {
    const auto value = [&](int row, int column) -> double {
        row = std::clamp(row, 0, tile.crop_height - 1) - tile.part_y;
        column = std::clamp(column, 0, tile.crop_width - 1) - tile.part_x;
        if (row < 0 || column < 0 || row >= tile.part_height || column >= tile.part_width) return tile.fill[c];
        return data[tile.pixels + (row * tile.part_width + column) * input.c + c];
    };
    int column = x - tile.x + tile.from_x;
    if (tile.flip) column = input.w - 1 - column;
    const double at_x = (column + 0.5) * tile.crop_width / input.w - 0.5;
    const double at_y = (y - tile.y + tile.from_y + 0.5) * tile.crop_height / input.h - 0.5;
    const int left = static_cast<int>(std::floor(at_x)), top = static_cast<int>(std::floor(at_y));
    const double fx = at_x - left, fy = at_y - top;
    return (1 - fy) * ((1 - fx) * value(top, left) + fx * value(top, left + 1)) +
           fy * ((1 - fx) * value(top + 1, left) + fx * value(top + 1, left + 1));
}

// The inputs of two images with these tiles, as planes.
Floats composed(const std::vector<ComposedTile>& tiles, const std::vector<unsigned char>& bytes, Shape input,
                Storage storage = Storage::f32) {
    REQUIRE(tiles.size() == 2 * cuda::kMostTiles);
    return under_every_schedule([&](LaunchOptions options) {
        DeviceArray<ComposedTile> places(tiles);
        DeviceArray<unsigned char> data(bytes);
        DeviceTensor dst(storage, 2, input, 3);
        launch_kernel(cuda::kernel::compose, storage, grid_for(2LL * input.h * input.w),
                      {places.data(), data.data(), dst.view(), 2, input.h, input.w, input.c}, options);
        return dst.read();
    });
}

// The mean of what the tiles of a pixel show.
Floats expected(const std::vector<ComposedTile>& tiles, const std::vector<unsigned char>& data, Shape input) {
    Floats planes;
    for (int image = 0; image < 2; ++image)
        for (int c = input.c - 1; c >= 0; --c)  // red first
            for (int y = 0; y < input.h; ++y)
                for (int x = 0; x < input.w; ++x) {
                    double sum = 0;
                    int found = 0;
                    for (int t = 0; t < cuda::kMostTiles; ++t) {
                        const ComposedTile& tile = tiles[image * cuda::kMostTiles + t];
                        if (!shows(tile, y, x)) continue;
                        sum += interpolated(tile, data, input, y, x, c);
                        ++found;
                    }
                    planes.push_back(static_cast<float>(sum / std::max(found, 1) / 255));
                }
    return planes;
}

Floats flat(std::array<int, 3> red_first) {
    Floats planes;
    for (const int value : red_first) planes.push_back(static_cast<float>(value) / 255);
    return planes;
}

// What a pixel, red first, becomes with these tables.
Floats recoloured(std::array<int, 3> pixel, const std::vector<unsigned char>& tables) {
    constexpr Shape one{3, 1, 1};
    std::vector<unsigned char> data = tables;
    for (int c = 2; c >= 0; --c) data.push_back(static_cast<unsigned char>(pixel[c]));
    std::vector<ComposedTile> tiles(2 * cuda::kMostTiles);
    tiles[0] = tile_of(one, {0, 0, 1, 1, 0, 0}, one, {0, 0, 1, 1, 0, 0}, false, 768, 0);
    const Floats found = composed(tiles, data, one);
    return {found.begin(), found.begin() + 3};
}

}  // namespace

TEST_CASE("kernels compose: tiles are interpolated, filled, mirrored and mixed") {
    // A mosaic of crops that are larger and smaller than the input, within and beyond their images; two mixed.
    const Area whole{0, 0, 32, 24, 0, 0};
    std::vector<ComposedTile> tiles = {
        tile_of(kInput, {0, 0, 13, 9, 19, 15}, {3, 50, 70}, {5, 3, 65, 40, 0, 0}, false, 0),
        tile_of(kInput, {13, 0, 19, 9, 0, 15}, {3, 11, 9}, {0, 0, 9, 11, 0, 0}, true, 7800),
        tile_of(kInput, {0, 9, 13, 15, 19, 0}, {3, 24, 32}, {0, 0, 32, 24, 0, 0}, true, 8097),
        tile_of(kInput, {13, 9, 19, 15, 5, 4}, {3, 40, 30}, {0, 0, 0, 0, 0, 0}, false, 0),
        tile_of(kInput, whole, {3, 24, 64}, {0, 0, 64, 24, 0, 0}, false, 10401),
        tile_of(kInput, whole, {3, 1, 1}, {0, 0, 1, 1, 0, 0}, true, 15009),
        ComposedTile{},
        ComposedTile{},
    };
    const std::vector<unsigned char> data = random_bytes(15012, 3);
    const Floats wanted = expected(tiles, data, kInput);
    for (const Storage storage : kStorages) {
        const Floats found = composed(tiles, data, kInput, storage);
        float worst = 0;
        for (std::size_t k = 0; k < found.size(); ++k) worst = std::max(worst, std::fabs(found[k] - wanted[k]));
        CHECK(worst < kStep + rounding(storage));
        CHECK(same_bits(found, rounded(storage, composed(tiles, data, kInput))));
    }
}

TEST_CASE("kernels compose: an image of the size of the input keeps its bytes, grey ones by their table") {
    constexpr Shape grey{1, 24, 32};
    std::vector<unsigned char> data(256);
    for (int k = 0; k < 256; ++k) data[k] = static_cast<unsigned char>(255 - k);
    const std::vector<unsigned char> pixels = random_bytes(grey.size(), 4);
    data.insert(data.end(), pixels.begin(), pixels.end());
    std::vector<ComposedTile> tiles(2 * cuda::kMostTiles);
    const Area whole{0, 0, 32, 24, 0, 0};
    tiles[0] = tile_of(grey, whole, grey, whole, false, 256);
    tiles[cuda::kMostTiles] = tile_of(grey, whole, grey, whole, false, 256, 0);
    Floats wanted;
    for (const bool inverse : {false, true})
        for (const unsigned char pixel : pixels)
            wanted.push_back(static_cast<float>(inverse ? 255 - pixel : pixel) / 255.0f);
    CHECK(same_bits(composed(tiles, data, grey), wanted));
}

TEST_CASE("kernels compose: colours turn, fade and dim by their tables") {
    std::vector<unsigned char> same(768);
    for (int k = 0; k < 768; ++k) same[k] = static_cast<unsigned char>(k % 256);
    for (const std::array<int, 3> pixel : {std::array{255, 0, 0}, {0, 255, 0}, {0, 0, 255}, {90, 90, 90}, {0, 0, 0}})
        CHECK(recoloured(pixel, same) == flat(pixel));

    std::vector<unsigned char> turned = same, faded = same, dimmed = same;
    for (int k = 0; k < 256; ++k) {
        turned[k] = static_cast<unsigned char>(std::min(k + 60, 255));  // a third of the circle, beyond its end
        faded[256 + k] = 0;
        dimmed[512 + k] = static_cast<unsigned char>(k / 2);
    }
    CHECK(recoloured({255, 0, 0}, turned) == flat({0, 255, 0}));
    CHECK(recoloured({0, 255, 0}, turned) == flat({0, 0, 255}));
    CHECK(recoloured({0, 0, 255}, turned) == flat({255, 0, 0}));
    CHECK(recoloured({200, 100, 50}, faded) == flat({200, 200, 200}));
    CHECK(recoloured({0, 200, 0}, dimmed) == flat({0, 100, 0}));
}
