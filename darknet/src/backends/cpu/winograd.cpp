// SPDX-License-Identifier: Apache-2.0
#include "winograd.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "isa.hpp"
#include "panels.hpp"
#include "vector_math.hpp"

namespace dn::cpu {
namespace {

constexpr int kTaps = 9;
// Channels whose transformed weights, of one row of positions, are in the first-level cache at a time, and of which
// transformed inputs lie together.
constexpr int kWinogradBlock = 32;
constexpr std::size_t kPadding = 16;  // floats; so that tiles do not share the sets of a cache

// Where convolve_tiles() keeps what; in floats from its scratch on.
struct WinogradLayout {
    std::size_t zeros, inputs, inputs_of_block, weights, sums, size;
};

int tiles_along(int outputs, int tile) { return (outputs + tile - 1) / tile; }

constexpr int positions_of(int tile) { return (tile + 2) * (tile + 2); }
// Of the inputs of a block.
constexpr std::size_t tile_pitch(int tile) { return positions_of(tile) * kWinogradBlock + kPadding; }
// Of matrices of weights.
constexpr std::size_t matrix_pitch(int width) { return static_cast<std::size_t>(kWinogradBlock) * width + kPadding; }

WinogradLayout winograd_layout(int tile, int channels, int tiles, int panel) {
    const std::size_t blocks = (channels + kWinogradBlock - 1) / kWinogradBlock;
    WinogradLayout layout{};
    layout.inputs_of_block = tiles * tile_pitch(tile);
    layout.inputs = (channels + kPadding - 1) / kPadding * kPadding;
    layout.weights = layout.inputs + blocks * layout.inputs_of_block;
    layout.sums = layout.weights + (tile + 2) * matrix_pitch(panel);
    layout.size = layout.sums + static_cast<std::size_t>(tiles) * positions_of(tile) * panel;
    return layout;
}

}  // namespace
}  // namespace dn::cpu

#define DN_MEMBER inline __attribute__((always_inline))
#define DN_LAMBDA __attribute__((always_inline))
#define DN_LOOPS "winograd.inl"
#include "each_isa.hpp"

namespace dn::cpu {
namespace {

struct Loops {
    int lanes, panel;
    decltype(&baseline::convolve_tiles) tiles;
};
#define DN_LOOPS_OF(isa) \
    { isa::kLanes, isa::kPanel, isa::convolve_tiles }

const Loops& loops() { DN_RETURN_LOOPS(Loops) }

}  // namespace

std::size_t winograd_floats(int channels, int filters) {
    return static_cast<std::size_t>(kTaps) * channels * rounded_up(filters, loops().lanes);
}

// Panels of (channels, taps, filters).
void pack_winograd(const float* weights, int channels, int filters, WinogradPass pass, float* packed) {
    const bool forward = pass == WinogradPass::forward;
    const std::size_t of_filter = std::size_t{kTaps} * (forward ? channels : 1);
    const std::size_t of_channel = std::size_t{kTaps} * (forward ? 1 : filters);
    const auto row_at = [&](int k) {
        const int tap = k % kTaps;
        return k / kTaps * of_channel + (forward ? tap : kTaps - 1 - tap);
    };
    pack_panels(weights, of_filter, filters, kTaps * channels, loops().panel, loops().lanes, row_at, packed);
}

int winograd_panels(int filters) { return panel_count(filters, loops().panel); }

int winograd_tiles(int tile, int images, int out_height, int out_width) {
    return images * tiles_along(out_height, tile) * tiles_along(out_width, tile);
}

std::size_t winograd_scratch(int tile, int channels, int tiles) {
    return winograd_layout(tile, channels, tiles, loops().panel).size;
}

void convolve_tiles(const WinogradTask& task, int first, int count, int first_panel, int end_panel, float* scratch) {
    loops().tiles(task, first, count, first_panel, end_panel, scratch);
}

}  // namespace dn::cpu
