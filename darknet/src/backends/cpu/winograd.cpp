// SPDX-License-Identifier: Apache-2.0
#include "winograd.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "isa.hpp"
#include "runtime.hpp"
#include "vector_math.hpp"

namespace dn::cpu {
namespace {

constexpr int kTaps = 9;
// Channels whose transformed weights are in cache at a time, and of which transformed inputs lie together.
constexpr int kWinogradBlock = 64;
// Channels whose transformed weights, of all positions, lie together: few pages are written at a time.
constexpr int kWinogradRun = 8;
constexpr std::size_t kPadding = 16;  // floats; so that tiles do not share the sets of a cache

// Where convolve_tiles() keeps what; in floats from its scratch on.
struct WinogradLayout {
    std::size_t zeros, inputs, inputs_of_block, tile_pitch, weights, sums, size;
};

int tiles_along(int outputs, int tile) { return (outputs + tile - 1) / tile; }

WinogradLayout winograd_layout(int tile, int channels, int tiles, int panel) {
    const std::size_t positions = (tile + 2) * (tile + 2);
    const std::size_t blocks = (channels + kWinogradBlock - 1) / kWinogradBlock;
    WinogradLayout layout{};
    layout.tile_pitch = positions * kWinogradBlock + kPadding;
    layout.inputs_of_block = tiles * layout.tile_pitch;
    layout.inputs = (channels + kPadding - 1) / kPadding * kPadding;
    layout.weights = layout.inputs + blocks * layout.inputs_of_block;
    layout.sums = layout.weights + positions * kWinogradBlock * panel;
    layout.size = layout.sums + tiles * positions * panel;
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
    int lanes;
    decltype(&baseline::convolve_tiles) tiles;
};

const Loops& loops() {
    static constexpr Loops narrow{baseline::kLanes, baseline::convolve_tiles};
#if defined(DN_HAVE_X86_VECTORS)
    static constexpr Loops avx2{avx2::kLanes, avx2::convolve_tiles};
    static constexpr Loops avx512{avx512::kLanes, avx512::convolve_tiles};
    if (vector_width() == VectorWidth::avx512) return avx512;
    if (vector_width() == VectorWidth::avx2) return avx2;
#endif
    return narrow;
}

int rounded_up(int count, int step) { return (count + step - 1) / step * step; }
int panel_width() { return 2 * loops().lanes; }

}  // namespace

std::size_t winograd_floats(int channels, int filters) {
    return static_cast<std::size_t>(kTaps) * channels * rounded_up(filters, loops().lanes);
}

// Panels of (channels, taps, filters).
void pack_winograd(const float* weights, int channels, int filters, WinogradPass pass, float* packed) {
    const int width = panel_width();
    const bool forward = pass == WinogradPass::forward;
    const std::size_t of_filter = std::size_t{kTaps} * (forward ? channels : 1);
    const std::size_t of_channel = std::size_t{kTaps} * (forward ? 1 : filters);
    parallel_for(winograd_panels(filters), [&](int panel) {
        const int first = panel * width, columns = std::min(width, filters - first);
        const int stored = rounded_up(columns, loops().lanes);
        float* to = packed + static_cast<std::size_t>(first) * channels * kTaps;
        for (int c = 0; c < channels; ++c)
            for (int tap = 0; tap < kTaps; ++tap, to += stored) {
                const float* from = weights + first * of_filter + c * of_channel + (forward ? tap : kTaps - 1 - tap);
                for (int i = 0; i < columns; ++i) to[i] = from[i * of_filter];
                std::fill(to + columns, to + stored, 0.0f);
            }
    });
}

int winograd_panels(int filters) { return (filters + panel_width() - 1) / panel_width(); }

int winograd_tiles(int tile, int images, int out_height, int out_width) {
    return images * tiles_along(out_height, tile) * tiles_along(out_width, tile);
}

std::size_t winograd_scratch(int tile, int channels, int tiles) {
    return winograd_layout(tile, channels, tiles, panel_width()).size;
}

void convolve_tiles(const WinogradTask& task, int first, int count, int first_panel, int end_panel, float* scratch) {
    loops().tiles(task, first, count, first_panel, end_panel, scratch);
}

}  // namespace dn::cpu
