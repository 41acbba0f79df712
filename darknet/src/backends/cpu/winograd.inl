// SPDX-License-Identifier: Apache-2.0
// The loops of winograd.hpp for one instruction set; see each_isa.hpp.

// A panel's transformed weights and sums share the first-level cache: 16 filters, with many rows of sums in registers.
constexpr int kVectorsOfPanel = kRegisters == 32 ? 1 : 2;
#include "panels.inl"

// -- products ---------------------------------------------------------------------------------------------------------

struct Product {
    const float* a;  // rows tile_pitch() apart
    const float* b;
    int depth;
    float* c;  // of all positions of a tile, tile by tile
    bool adds;
};

// Pitches are constants: with twelve addresses to prepare, calls of so few products would take a quarter longer.
template <int kTile, int kRows, int kVectors>
void multiply_rows(const Product& job) {
    constexpr std::size_t kPitch = positions_of(kTile) * kVectors * kLanes;
    V sums[kRows][kVectors];
#pragma GCC unroll 24
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) sums[r][v] = job.adds ? load(job.c + r * kPitch + v * kLanes) : V{};
    multiply_run(sums, job.a, tile_pitch(kTile), job.b, job.depth);
#pragma GCC unroll 24
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) store(job.c + r * kPitch + v * kLanes, sums[r][v]);
}

template <int kTile, int kVectors, int... kIndices>
DN_INLINE auto multiply_function(int rows, std::integer_sequence<int, kIndices...>) {
    static constexpr void (*table[])(const Product&) = {multiply_rows<kTile, kIndices + 1, kVectors>...};
    return table[rows - 1];
}

// job.c = (job.c +) `rows` rows of job.a times job.b
template <int kTile, int kVectors>
DN_INLINE void multiply(Product job, int rows) {
    using Rows = std::make_integer_sequence<int, kMostRows>;
    const int parts = (rows + kMostRows - 1) / kMostRows;
    for (int part = 0, first = 0; part < parts; ++part) {
        const int count = (rows - first) / (parts - part);
        multiply_function<kTile, kVectors>(count, Rows())(job);
        job.a += count * tile_pitch(kTile);
        job.c += count * (positions_of(kTile) * kVectors * kLanes);
        first += count;
    }
}

// -- Winograd ---------------------------------------------------------------------------------------------------------

#include "winograd_transforms.inl"

DN_INLINE Tile tile_at(const WinogradTask& task, int n) {
    return tile_at(n, task.tile, task.out_height, task.out_width);
}

// Tiles [first, first + count) of the source into layout.inputs.
template <int kTile>
void transform_inputs(const WinogradTask& task, int first, int count, const WinogradLayout& layout, float* scratch) {
    constexpr int kSide = kTile + 2;
    float* zeros = scratch + layout.zeros;
    std::fill(zeros, zeros + task.channels, 0.0f);
    for (int n = 0; n < count; ++n) {
        const Tile tile = tile_at(task, first + n);
        const float* pixels[kSide][kSide];
        find_pixels(pixels, task.src, task.src_pitch, task.height, task.width, tile.moved(-task.pad), zeros);
        for (int c = 0; c < task.channels; c += kLanes) {
            float* to = scratch + layout.inputs + c / kWinogradBlock * layout.inputs_of_block + n * tile_pitch(kTile) +
                        c % kWinogradBlock;
            const auto put = [&](int y, int x, V v) DN_LAMBDA { store(to + (y * kSide + x) * kWinogradBlock, v); };
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
}

// Nine taps of `depth` channels of a panel become the matrices (depth, vectors) of row y of positions.
template <int kTile, int kVectors>
void transform_weights(const float* taps, int depth, int y, float* to) {
    constexpr int kSide = kTile + 2, kWidth = kVectors * kLanes;
    const float* factors = Transform<kTile>::kWeights[y];
    const V first = broadcast(factors[0]), second = broadcast(factors[1]), third = broadcast(factors[2]);
    for (int k = 0; k < depth; ++k, taps += 9 * kWidth, to += kWidth)
        for (int v = 0; v < kWidth; v += kLanes) {
            V row[3], out[kSide];
#pragma GCC unroll 8
            for (int x = 0; x < 3; ++x)
                row[x] = first * load(taps + x * kWidth + v) + second * load(taps + (3 + x) * kWidth + v) +
                         third * load(taps + (6 + x) * kWidth + v);
            Transform<kTile>::weights(row, out);
#pragma GCC unroll 8
            for (int x = 0; x < kSide; ++x) store(to + x * matrix_pitch(kWidth) + v, out[x]);
        }
}

// The sums of a panel become outputs.
template <int kTile>
void transform_outputs(const WinogradTask& task, int first, int count, int c, int columns, const float* sums) {
    constexpr int kSide = kTile + 2;
    const int width = vectors_of(columns) * kLanes;
    for (int n = 0; n < count; ++n) {
        const Tile tile = tile_at(task, first + n);
        const int rows = std::min(kTile, task.out_height - tile.y), across = std::min(kTile, task.out_width - tile.x);
        const std::size_t pixel =
            (static_cast<std::size_t>(tile.image) * task.out_height + tile.y) * task.out_width + tile.x;
        for (int v = 0; v < columns; v += kLanes) {
            const float* from = sums + static_cast<std::size_t>(n) * kSide * kSide * width + v;
            const int lanes = std::min(kLanes, columns - v);
            const V bias = bias_of(task.epilogue, c + v, lanes);
            V out[kTile][kTile], half[kSide][kTile];
#pragma GCC unroll 8
            for (int x = 0; x < kSide; ++x) {
                V column[kSide];
#pragma GCC unroll 8
                for (int y = 0; y < kSide; ++y) column[y] = load(from + (y * kSide + x) * width);
                Transform<kTile>::output(column, half[x]);
            }
#pragma GCC unroll 8
            for (int y = 0; y < kTile; ++y) {
                V row[kSide];
#pragma GCC unroll 8
                for (int x = 0; x < kSide; ++x) row[x] = half[x][y];
                Transform<kTile>::output(row, out[y]);
            }
            for (int y = 0; y < rows; ++y)
                for (int x = 0; x < across; ++x)
                    finish(out[y][x] + bias, task.epilogue, pixel + static_cast<std::size_t>(y) * task.out_width + x,
                           c + v, lanes, task.dst, task.dst_pitch);
        }
    }
}

// The part of the weights that the next products read comes from memory meanwhile.
DN_INLINE void fetch(const float* from, int count) {
    for (int i = 0; i < count; i += 16) __builtin_prefetch(from + i, 0, 2);
}

// The sums of a panel, row by row of positions: their weights are transformed where they stay in the first-level cache,
// which costs less than to write those of all positions to the second-level one, although taps are read for each row.
template <int kTile, int kVectors>
void multiply_panel(const float* taps, int channels, int count, const float* inputs, std::size_t inputs_of_block,
                    float* weights, float* sums) {
    constexpr int kSide = kTile + 2, kWidth = kVectors * kLanes;
    for (int c = 0; c < channels; c += kWinogradBlock, inputs += inputs_of_block) {
        const int depth = std::min(kWinogradBlock, channels - c), share = depth * 9 * kWidth / (kSide * kSide);
        const float* next = taps + depth * 9 * kWidth;
        for (int y = 0; y < kSide; ++y) {
            transform_weights<kTile, kVectors>(taps, depth, y, weights);
            for (int x = 0; x < kSide; ++x) {
                const int i = y * kSide + x;
                fetch(next + i * share, share);
                multiply<kTile, kVectors>(
                    {inputs + i * kWinogradBlock, weights + x * matrix_pitch(kWidth), depth, sums + i * kWidth, c > 0},
                    count);
            }
        }
        taps = next;
    }
}

template <int kTile>
void convolve_tiles_of(const WinogradTask& task, int first, int count, int first_panel, int end_panel, float* scratch) {
    const WinogradLayout layout = winograd_layout(kTile, task.channels, count, kPanel);
    transform_inputs<kTile>(task, first, count, layout, scratch);
    float* sums = scratch + layout.sums;
    for (int panel = first_panel; panel < end_panel; ++panel) {
        const int columns = columns_of(task.filters, panel);
        const auto multiply_all =
            vectors_of(columns) == kVectorsOfPanel ? multiply_panel<kTile, kVectorsOfPanel> : multiply_panel<kTile, 1>;
        multiply_all(task.weights + static_cast<std::size_t>(panel) * kPanel * task.channels * 9, task.channels, count,
                     scratch + layout.inputs, layout.inputs_of_block, scratch + layout.weights, sums);
        transform_outputs<kTile>(task, first, count, panel * kPanel, columns, sums);
    }
}

void convolve_tiles(const WinogradTask& task, int first, int count, int first_panel, int end_panel, float* scratch) {
    if (task.tile == 4)
        convolve_tiles_of<4>(task, first, count, first_panel, end_panel, scratch);
    else
        convolve_tiles_of<2>(task, first, count, first_panel, end_panel, scratch);
}
