// SPDX-License-Identifier: Apache-2.0
#include "winograd_gradient.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "../../layers/params.hpp"
#include "isa.hpp"
#include "panels.hpp"
#include "vector_math.hpp"
#include "winograd.hpp"

namespace dn::cpu {
namespace {

constexpr int kRun = 16;                         // channels whose transformed inputs lie together
constexpr std::size_t kChunkBytes = 4u << 20;    // of transformed inputs and deltas that are made at a time
constexpr int kFewTiles = 96, kManyTiles = 192;  // of a chunk: enough to multiply; their panel stays in cache
constexpr std::size_t kPadding = 16;             // floats; so that positions do not share the sets of a cache

// Where things are, in floats from the scratch on, where the zeros outside of maps are. By position:
//   inputs (runs of channels, tiles of a chunk, kRun), deltas (panels of filters, tiles of a chunk, panel), both of
//   `tiles` tiles at a time, and sums (panels of filters, channels, panel).
struct GradientLayout {
    int tiles;
    std::size_t inputs, input_pitch, deltas, delta_pitch, sums, sum_pitch, size;
};

GradientLayout gradient_layout(const WinogradGradientTask& task, int panel) {
    const std::size_t positions = (task.tile + 2) * (task.tile + 2);
    const std::size_t channels = rounded_up(task.channels, kRun), filters = rounded_up(task.filters, panel);
    const int all = winograd_tiles(task.tile, task.images, task.out_height, task.out_width);
    const auto fit = static_cast<int>(kChunkBytes / (positions * (channels + filters) * sizeof(float)));
    const int chunks = (all + std::clamp(fit, kFewTiles, kManyTiles) - 1) / std::clamp(fit, kFewTiles, kManyTiles);
    GradientLayout layout{};
    layout.tiles = (all + chunks - 1) / chunks;
    layout.inputs = std::max(channels, filters);
    layout.input_pitch = layout.tiles * channels + kPadding;
    layout.deltas = layout.inputs + positions * layout.input_pitch;
    layout.delta_pitch = layout.tiles * filters + kPadding;
    layout.sums = layout.deltas + positions * layout.delta_pitch;
    layout.sum_pitch = filters * task.channels + kPadding;
    layout.size = layout.sums + positions * layout.sum_pitch;
    return layout;
}

}  // namespace
}  // namespace dn::cpu

#define DN_MEMBER inline __attribute__((always_inline))
#define DN_LAMBDA __attribute__((always_inline))
#define DN_LOOPS "winograd_gradient.inl"
#include "each_isa.hpp"

namespace dn::cpu {
namespace {

struct Loops {
    int panel;
    decltype(&baseline::transform_tile) transform_tile;
    decltype(&baseline::multiply_tiles) multiply_tiles;
    decltype(&baseline::transform_sums) transform_sums;
};

#define DN_LOOPS_OF(isa) \
    { isa::kPanel, isa::transform_tile, isa::multiply_tiles, isa::transform_sums }

const Loops& loops() { DN_RETURN_LOOPS(Loops) }

}  // namespace

std::size_t winograd_gradient_scratch(const WinogradGradientTask& task) {
    return gradient_layout(task, loops().panel).size;
}

void add_filter_gradients(const WinogradGradientTask& task, float* scratch) {
    const Loops& of = loops();
    const GradientLayout layout = gradient_layout(task, of.panel);
    const int tiles = winograd_tiles(task.tile, task.images, task.out_height, task.out_width);
    const int panels = panel_count(task.filters, of.panel), positions = (task.tile + 2) * (task.tile + 2);
    const int runs = (task.channels + kRun - 1) / kRun;
    std::fill(scratch, scratch + layout.inputs, 0.0f);
    for (int first = 0; first < tiles; first += layout.tiles) {
        const int count = std::min(layout.tiles, tiles - first);
        parallel_for(count, [&](int i) { of.transform_tile(task, layout, first + i, i, scratch); });
        parallel_for(positions * panels, [&](int i) {
            of.multiply_tiles(task, layout, count, i / panels, i % panels, first > 0, scratch);
        });
    }
    parallel_for(panels * runs, [&](int i) { of.transform_sums(task, layout, i / runs, i % runs, scratch); });
}

}  // namespace dn::cpu
