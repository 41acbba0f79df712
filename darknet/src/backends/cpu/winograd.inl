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
// Of Cook and Toom's points, 0, +-1/sqrt(2), +-sqrt(2) and infinity round best for tiles of 4.

template <int kTile>
struct Transform;

template <>
struct Transform<4> {
    static constexpr float kA = 0.70710678f, kB = 1.41421356f;

    static DN_MEMBER void input(const V* t, V* o) {
        const V even_a = t[4] - 2.0f * t[2], odd_a = t[3] - 2.0f * t[1];
        const V even_b = t[4] - 0.5f * t[2], odd_b = t[3] - 0.5f * t[1];
        o[0] = t[0] - 2.5f * t[2] + t[4];
        o[1] = even_a + kA * odd_a;
        o[2] = even_a - kA * odd_a;
        o[3] = even_b + kB * odd_b;
        o[4] = even_b - kB * odd_b;
        o[5] = t[1] - 2.5f * t[3] + t[5];
    }

    static DN_MEMBER void weights(const V* g, V* o) {
        const V even_a = (-2.0f / 3) * g[0] + (-1.0f / 3) * g[2], odd_a = (-2.0f / 3 * kA) * g[1];
        const V even_b = (1.0f / 6) * g[0] + (1.0f / 3) * g[2], odd_b = (kB / 6) * g[1];
        o[0] = g[0];
        o[1] = even_a + odd_a;
        o[2] = even_a - odd_a;
        o[3] = even_b + odd_b;
        o[4] = even_b - odd_b;
        o[5] = g[2];
    }

    static DN_MEMBER void output(const V* m, V* o) {
        const V sum_a = m[1] + m[2], difference_a = m[1] - m[2];
        const V sum_b = m[3] + m[4], difference_b = m[3] - m[4];
        o[0] = m[0] + sum_a + sum_b;
        o[1] = kA * difference_a + kB * difference_b;
        o[2] = 0.5f * sum_a + 2.0f * sum_b;
        o[3] = m[5] + (0.5f * kA) * difference_a + (2.0f * kB) * difference_b;
    }
};

template <>
struct Transform<2> {
    static DN_MEMBER void input(const V* t, V* o) {
        o[0] = t[0] - t[2];
        o[1] = t[1] + t[2];
        o[2] = t[2] - t[1];
        o[3] = t[1] - t[3];
    }

    static DN_MEMBER void weights(const V* g, V* o) {
        const V even = 0.5f * (g[0] + g[2]), odd = 0.5f * g[1];
        o[0] = g[0];
        o[1] = even + odd;
        o[2] = even - odd;
        o[3] = g[2];
    }

    static DN_MEMBER void output(const V* m, V* o) {
        o[0] = m[0] + m[1] + m[2];
        o[1] = m[1] - m[2] - m[3];
    }
};

// Transforms columns, then rows: (kIn, kIn) -> (kOut, kOut). at(row, column) loads; put(row, column, value) stores.
template <int kIn, int kOut, class Each, class At, class Put>
DN_INLINE void transform_square(const Each& each, const At& at, const Put& put) {
    V half[kIn][kOut];
#pragma GCC unroll 8
    for (int x = 0; x < kIn; ++x) {
        V column[kIn];
#pragma GCC unroll 8
        for (int y = 0; y < kIn; ++y) column[y] = at(y, x);
        each(column, half[x]);
    }
#pragma GCC unroll 8
    for (int y = 0; y < kOut; ++y) {
        V row[kIn], out[kOut];
#pragma GCC unroll 8
        for (int x = 0; x < kIn; ++x) row[x] = half[x][y];
        each(row, out);
#pragma GCC unroll 8
        for (int x = 0; x < kOut; ++x) put(y, x, out[x]);
    }
}

struct Tile {
    int image, y, x;  // of its first output
};

DN_INLINE Tile tile_at(const WinogradTask& task, int n) {
    const int across = tiles_along(task.out_width, task.tile), down = tiles_along(task.out_height, task.tile);
    const int i = n % (across * down);
    return {n / (across * down), i / across * task.tile, i % across * task.tile};
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
        for (int i = 0; i < kSide; ++i)
            for (int j = 0; j < kSide; ++j) {
                const int y = tile.y - task.pad + i, x = tile.x - task.pad + j;
                const bool inside = y >= 0 && y < task.height && x >= 0 && x < task.width;
                const std::size_t pixel = (static_cast<std::size_t>(tile.image) * task.height + y) * task.width + x;
                pixels[i][j] = inside ? task.src + pixel * task.src_pitch : zeros;
            }
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
