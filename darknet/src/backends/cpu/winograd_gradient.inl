// SPDX-License-Identifier: Apache-2.0
// The loops of winograd_gradient.hpp for one instruction set; see each_isa.hpp.

#include "winograd_transforms.inl"

constexpr int kVectorsOfPanel = 2;
constexpr int kPanel = kVectorsOfPanel * kLanes;      // filters
constexpr int kMostRows = kRegisters == 32 ? 8 : 6;  // of sums in registers, a panel wide

DN_INLINE int columns_of(int filters, int panel) { return std::min(kPanel, filters - panel * kPanel); }

// Tile `n` of the source becomes tile `slot` of a chunk.
template <int kTile>
void transform_source(const WinogradGradientTask& task, const GradientLayout& layout, int n, int slot, float* scratch) {
    constexpr int kSide = kTile + 2;
    const Tile tile = tile_at(n, kTile, task.out_height, task.out_width);
    const float* pixels[kSide][kSide];
    find_pixels(pixels, task.src, task.src_pitch, task.height, task.width, tile.moved(-task.pad), scratch);
    for (int c = 0; c < task.channels; c += kLanes) {
        float* to = scratch + layout.inputs + (c / kRun * layout.tiles + slot) * kRun + c % kRun;
        const auto put = [&](int y, int x, V v) DN_LAMBDA { store(to + (y * kSide + x) * layout.input_pitch, v); };
        const int left = task.channels - c;
        if (left >= kLanes)
            transform_square<kSide, kSide>(
                Transform<kTile>::input, [&](int y, int x) DN_LAMBDA { return load(pixels[y][x] + c); }, put);
        else
            transform_square<kSide, kSide>(
                Transform<kTile>::input, [&](int y, int x) DN_LAMBDA { return load_part(pixels[y][x] + c, left); },
                put);
    }
}

template <int kTile>
void transform_delta(const WinogradGradientTask& task, const GradientLayout& layout, int n, int slot, float* scratch) {
    constexpr int kSide = kTile + 2;
    const Tile tile = tile_at(n, kTile, task.out_height, task.out_width);
    const float* pixels[kTile][kTile];
    find_pixels(pixels, task.delta, task.delta_pitch, task.out_height, task.out_width, tile, scratch);
    for (int f = 0; f < task.filters; f += kLanes) {
        float* to = scratch + layout.deltas + (f / kPanel * layout.tiles + slot) * kPanel + f % kPanel;
        const auto put = [&](int y, int x, V v) DN_LAMBDA { store(to + (y * kSide + x) * layout.delta_pitch, v); };
        const int left = task.filters - f;
        if (left >= kLanes)
            transform_square<kTile, kSide>(
                Transform<kTile>::delta, [&](int y, int x) DN_LAMBDA { return load(pixels[y][x] + f); }, put);
        else
            transform_square<kTile, kSide>(
                Transform<kTile>::delta, [&](int y, int x) DN_LAMBDA { return load_part(pixels[y][x] + f, left); },
                put);
    }
}

void transform_tile(const WinogradGradientTask& task, const GradientLayout& layout, int n, int slot, float* scratch) {
    if (task.tile == 4) {
        transform_source<4>(task, layout, n, slot, scratch);
        transform_delta<4>(task, layout, n, slot, scratch);
    } else {
        transform_source<2>(task, layout, n, slot, scratch);
        transform_delta<2>(task, layout, n, slot, scratch);
    }
}

// sums (kRows, kPanel) = (sums +) inputs (depth, kRun), transposed, times deltas (depth, kPanel)
template <int kRows, int kVectors>
void multiply_rows(const float* inputs, const float* deltas, int depth, float* to, bool adds) {
    V sums[kRows][kVectors];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) sums[r][v] = adds ? load(to + r * kPanel + v * kLanes) : V{};
    for (int k = 0; k < depth; ++k, inputs += kRun, deltas += kPanel) {
        V y[kVectors];
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) y[v] = load(deltas + v * kLanes);
#pragma GCC unroll 16
        for (int r = 0; r < kRows; ++r) {
            const V x = broadcast(inputs[r]);
#pragma GCC unroll 16
            for (int v = 0; v < kVectors; ++v) sums[r][v] += x * y[v];
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) store(to + r * kPanel + v * kLanes, sums[r][v]);
}

template <int kVectors, int... kIndices>
DN_INLINE auto multiply_function(int rows, std::integer_sequence<int, kIndices...>) {
    static constexpr void (*table[])(const float*, const float*, int, float*,
                                     bool) = {multiply_rows<kIndices + 1, kVectors>...};
    return table[rows - 1];
}

// The products of `count` tiles of a chunk, at one position, for a panel of filters and all channels.
void multiply_tiles(const WinogradGradientTask& task, const GradientLayout& layout, int count, int position, int panel,
                    bool adds, float* scratch) {
    using Rows = std::make_integer_sequence<int, kMostRows>;
    const bool whole = columns_of(task.filters, panel) > kLanes;
    const float* inputs = scratch + layout.inputs + position * layout.input_pitch;
    const float* deltas = scratch + layout.deltas + position * layout.delta_pitch + panel * layout.tiles * kPanel;
    float* to = scratch + layout.sums + position * layout.sum_pitch +
                static_cast<std::size_t>(panel) * task.channels * kPanel;
    for (int c = 0; c < task.channels; c += kRun, inputs += layout.tiles * kRun) {
        const int run = std::min(kRun, task.channels - c), parts = (run + kMostRows - 1) / kMostRows;
        for (int part = 0, first = 0; part < parts; ++part) {
            const int rows = (run - first) / (parts - part);
            (whole ? multiply_function<2>(rows, Rows()) : multiply_function<1>(rows, Rows()))(
                inputs + first, deltas, count, to + (c + first) * kPanel, adds);
            first += rows;
        }
    }
}

// The sums of a panel of filters and a run of channels become gradients.
template <int kTile>
void transform_sums_of(const WinogradGradientTask& task, const GradientLayout& layout, int panel, int run,
                       const float* scratch) {
    constexpr int kSide = kTile + 2;
    const int columns = columns_of(task.filters, panel), end = std::min(task.channels, (run + 1) * kRun);
    for (int c = run * kRun; c < end; ++c)
        for (int v = 0; v < columns; v += kLanes) {
            const float* from =
                scratch + layout.sums + (static_cast<std::size_t>(panel) * task.channels + c) * kPanel + v;
            float taps[9][kLanes];
            transform_square<kSide, 3>(
                Transform<kTile>::gradient,
                [&](int y, int x) DN_LAMBDA { return load(from + (y * kSide + x) * layout.sum_pitch); },
                [&](int y, int x, V value) DN_LAMBDA { store(taps[y * 3 + x], value); });
            float* to = task.gradients + (static_cast<std::size_t>(panel * kPanel + v) * task.channels + c) * 9;
            for (int lane = 0; lane < std::min(kLanes, columns - v); ++lane, to += task.channels * std::size_t{9})
                for (int tap = 0; tap < 9; ++tap) to[tap] += taps[tap][lane];
        }
}

void transform_sums(const WinogradGradientTask& task, const GradientLayout& layout, int panel, int run,
                    const float* scratch) {
    if (task.tile == 4)
        transform_sums_of<4>(task, layout, panel, run, scratch);
    else
        transform_sums_of<2>(task, layout, panel, run, scratch);
}
