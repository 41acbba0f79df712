// SPDX-License-Identifier: Apache-2.0
// The loops of winograd.hpp for one instruction set; see each_isa.hpp.

#include "panels.inl"

// -- products ---------------------------------------------------------------------------------------------------------

struct Product {
    const float* a;
    std::size_t a_pitch;
    const float* b;  // runs of kWinogradRun rows, b_pitch apart
    std::size_t b_pitch;
    int depth;
    float* c;
    std::size_t c_pitch;
    bool adds;
};

template <int kRows, int kVectors>
void multiply_rows(const Product& job) {
    V sums[kRows][kVectors];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v)
            sums[r][v] = job.adds ? load(job.c + r * job.c_pitch + v * kLanes) : V{};
    const float *a = job.a, *b = job.b;
    int left = job.depth;
    for (; left >= kWinogradRun; left -= kWinogradRun, a += kWinogradRun, b += job.b_pitch)
        multiply_run(sums, a, job.a_pitch, b, kWinogradRun);
    multiply_run(sums, a, job.a_pitch, b, left);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) store(job.c + r * job.c_pitch + v * kLanes, sums[r][v]);
}

template <int kVectors, int... kIndices>
DN_INLINE auto multiply_function(int rows, std::integer_sequence<int, kIndices...>) {
    static constexpr void (*table[])(const Product&) = {multiply_rows<kIndices + 1, kVectors>...};
    return table[rows - 1];
}

// job.c = (job.c +) `rows` rows of job.a times job.b
DN_INLINE void multiply(Product job, int rows, int vectors) {
    using Rows = std::make_integer_sequence<int, kMostRows>;
    const int parts = (rows + kMostRows - 1) / kMostRows;
    for (int part = 0, first = 0; part < parts; ++part) {
        const int count = (rows - first) / (parts - part);
        (vectors == 2 ? multiply_function<2>(count, Rows()) : multiply_function<1>(count, Rows()))(job);
        job.a += count * job.a_pitch;
        job.c += count * job.c_pitch;
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
void transform_inputs(const WinogradTask& task, int first, int count, const WinogradLayout& layout,
                      float* scratch) {
    constexpr int kSide = kTile + 2;
    float* zeros = scratch + layout.zeros;
    std::fill(zeros, zeros + task.channels, 0.0f);
    for (int n = 0; n < count; ++n) {
        const Tile tile = tile_at(task, first + n);
        const float* pixels[kSide][kSide];
        find_pixels(pixels, task.src, task.src_pitch, task.height, task.width, tile.moved(-task.pad), zeros);
        for (int c = 0; c < task.channels; c += kLanes) {
            float* to = scratch + layout.inputs + c / kWinogradBlock * layout.inputs_of_block + n * layout.tile_pitch +
                        c % kWinogradBlock;
            const auto put = [&](int y, int x, V v) DN_LAMBDA { store(to + (y * kSide + x) * kWinogradBlock, v); };
            const int left = task.channels - c;
            if (left >= kLanes)
                transform_square<kSide, kSide>(
                    Transform<kTile>::input, [&](int y, int x) DN_LAMBDA { return load(pixels[y][x] + c); }, put);
            else
                transform_square<kSide, kSide>(
                    Transform<kTile>::input,
                    [&](int y, int x) DN_LAMBDA { return load_part(pixels[y][x] + c, left); }, put);
        }
    }
}

// Nine taps of `depth` channels of a panel become (kTile + 2) squared matrices (depth, vectors): those of a run of
// channels lie together.
template <int kTile, int kVectors>
void transform_weights(const float* taps, int depth, float* to) {
    constexpr int kSide = kTile + 2, kWidth = kVectors * kLanes;
    constexpr std::size_t kPitch = kWinogradRun * kWidth;  // between matrices
    for (int k = 0; k < depth; ++k, taps += 9 * kWidth) {
        float* row_of_run = to + k / kWinogradRun * (kSide * kSide * kPitch) + k % kWinogradRun * kWidth;
        for (int v = 0; v < kWidth; v += kLanes) {
            V half[3][kSide];
#pragma GCC unroll 8
            for (int x = 0; x < 3; ++x) {
                const V column[3] = {load(taps + x * kWidth + v), load(taps + (3 + x) * kWidth + v),
                                     load(taps + (6 + x) * kWidth + v)};
                Transform<kTile>::weights(column, half[x]);
            }
#pragma GCC unroll 8
            for (int y = 0; y < kSide; ++y) {
                V out[kSide];
                const V row[3] = {half[0][y], half[1][y], half[2][y]};
                Transform<kTile>::weights(row, out);
#pragma GCC unroll 8
                for (int x = 0; x < kSide; ++x) store(row_of_run + (y * kSide + x) * kPitch + v, out[x]);
            }
        }
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

template <int kTile>
void convolve_tiles_of(const WinogradTask& task, int first, int count, int first_panel, int end_panel,
                       float* scratch) {
    constexpr int kPositions = (kTile + 2) * (kTile + 2);
    const WinogradLayout layout = winograd_layout(task.tile, task.channels, count, kPanel);
    transform_inputs<kTile>(task, first, count, layout, scratch);
    float *weights = scratch + layout.weights, *sums = scratch + layout.sums;
    for (int panel = first_panel; panel < end_panel; ++panel) {
        const int columns = columns_of(task.filters, panel), vectors = vectors_of(columns);
        const std::size_t width = vectors * kLanes, run = kWinogradRun * width;
        const float* taps = task.weights + static_cast<std::size_t>(panel) * kPanel * task.channels * 9;
        for (int c = 0; c < task.channels; c += kWinogradBlock) {
            const int depth = std::min(kWinogradBlock, task.channels - c);
            (vectors == 2 ? transform_weights<kTile, 2> : transform_weights<kTile, 1>)(taps, depth, weights);
            taps += depth * 9 * width;
            const float* inputs = scratch + layout.inputs + c / kWinogradBlock * layout.inputs_of_block;
            for (int i = 0; i < kPositions; ++i)
                multiply({inputs + i * kWinogradBlock, layout.tile_pitch, weights + i * run, kPositions * run, depth,
                          sums + i * width, kPositions * width, c > 0},
                         count, vectors);
        }
        transform_outputs<kTile>(task, first, count, panel * kPanel, columns, sums);
    }
}

void convolve_tiles(const WinogradTask& task, int first, int count, int first_panel, int end_panel,
                    float* scratch) {
    if (task.tile == 4)
        convolve_tiles_of<4>(task, first, count, first_panel, end_panel, scratch);
    else
        convolve_tiles_of<2>(task, first, count, first_panel, end_panel, scratch);
}
