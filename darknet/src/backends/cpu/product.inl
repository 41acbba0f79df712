// SPDX-License-Identifier: Apache-2.0
// The loops of product.hpp for one instruction set; see each_isa.hpp.

constexpr int kVectorsOfPanel = 2;
#include "panels.inl"

template <Activation kActivation, int kRows, int kVectors>
DN_INLINE void put_rows(V (&sums)[kRows][kVectors], float* dst, std::size_t pitch) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) store(dst + r * pitch + v * kLanes, activated(sums[r][v], kActivation));
}

// Whatever follows the sums of `rows` pixels, which are in the cache.
inline void finish_rows(const ProductTask& task, std::size_t pixel, int rows, int c, int columns, const V* sums) {
    for (int r = 0; r < rows; ++r)
        for (int i = 0; i < columns; i += kLanes, ++sums)
            finish(*sums, task.epilogue, pixel + r, c + i, std::min(kLanes, columns - i), task.dst, task.dst_pitch);
}

// The cheap activations of whole vectors in registers; the others behind them.
template <int kRows, int kVectors>
DN_INLINE void put_sums(V (&sums)[kRows][kVectors], const ProductTask& task, std::size_t pixel, int c, int columns) {
    float* dst = task.dst + pixel * task.dst_pitch + c;
    if (columns == kVectors * kLanes && !task.epilogue.residual) switch (task.epilogue.activation) {
            case Activation::linear:
                return put_rows<Activation::linear>(sums, dst, task.dst_pitch);
            case Activation::leaky:
                return put_rows<Activation::leaky>(sums, dst, task.dst_pitch);
            default:
                break;
        }
    V values[kRows * kVectors];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) values[r * kVectors + v] = sums[r][v];
    finish_rows(task, pixel, kRows, c, columns, values);
}

// Lines of 64 bytes, which take longer to come than the hardware sees ahead across rows: those that this tile will
// write, and those that the next one reads.
template <int kRows>
DN_INLINE void fetch_rows(const float* first, std::size_t pitch) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) __builtin_prefetch(first + r * pitch);
}

constexpr int kLine = 16;  // floats

template <int kRows, int kVectors>
void multiply_rows(const ProductTask& task, std::size_t pixel, int panel, bool fetches) {
    const int c = panel * kPanel, columns = columns_of(task.filters, panel);
    for (int i = 0; i < columns; i += kLine)
        fetch_rows<kRows>(task.dst + pixel * task.dst_pitch + c + i, task.dst_pitch);
    V sums[kRows][kVectors];
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
        const V bias = bias_of(task.epilogue, c + v * kLanes, std::min(kLanes, columns - v * kLanes));
#pragma GCC unroll 16
        for (int r = 0; r < kRows; ++r) sums[r][v] = bias;
    }
    const float* row = task.src + pixel * task.src_pitch;
    const float* b = task.weights + static_cast<std::size_t>(c) * task.runs * task.depth;
    for (int run = 0; run < task.runs; ++run, row += task.run_pitch)
        for (int k = 0; k < task.depth; k += kLine) {
            const int depth = std::min(kLine, task.depth - k);
            if (fetches) fetch_rows<kRows>(row + kRows * task.src_pitch + k, task.src_pitch);
            multiply_run(sums, row + k, task.src_pitch, b, depth);
            b += depth * kVectors * kLanes;
        }
    put_sums(sums, task, pixel, c, columns);
}

template <int kVectors, int... kIndices>
DN_INLINE auto rows_function(int rows, std::integer_sequence<int, kIndices...>) {
    static constexpr void (*table[])(const ProductTask&, std::size_t, int,
                                     bool) = {multiply_rows<kIndices + 1, kVectors>...};
    return table[rows - 1];
}

inline void multiply_pixels(const ProductTask& task, std::size_t first, std::size_t count, int first_panel,
                            int end_panel) {
    using Rows = std::make_integer_sequence<int, kMostRows>;
    const std::size_t parts = (count + kMostRows - 1) / kMostRows;
    for (int panel = first_panel; panel < end_panel; ++panel) {
        const bool wide = vectors_of(columns_of(task.filters, panel)) == 2;
        for (std::size_t part = 0, begin = 0; part < parts; ++part) {
            const std::size_t rows = (count - begin) / (parts - part);
            (wide ? rows_function<2>(rows, Rows()) : rows_function<1>(rows, Rows()))(task, first + begin, panel,
                                                                                     panel == first_panel);
            begin += rows;
        }
    }
}
