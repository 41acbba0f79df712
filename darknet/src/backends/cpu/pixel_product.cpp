// SPDX-License-Identifier: Apache-2.0
#include "pixel_product.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "avx512.hpp"
#include "vector_math.hpp"

namespace dn::cpu {
namespace {

constexpr int kLanes = 16;
constexpr int kMostVectors = 4;  // of one panel of columns
constexpr int kMostPixels = 12;  // of one tile ...
constexpr int kMostSums = 24;    // ... whose pixels x vectors are held in registers

// `total` in parts of at most `most`, as equal as can be: the i-th is [first, first + size).
struct Part {
    int first, size;
};

int part_count(int total, int most) { return (total + most - 1) / most; }

Part part_of(int total, int parts, int i) {
    const int base = total / parts, larger = total % parts;
    return {i * base + std::min(i, larger), base + (i < larger ? 1 : 0)};
}

int vectors_of(int columns) { return (columns + kLanes - 1) / kLanes; }
int steps_of(int depth, bool bf16) { return bf16 ? depth / 2 : depth; }

}  // namespace

std::size_t packed_words(int depth, int columns, bool bf16) {
    return static_cast<std::size_t>(steps_of(depth, bf16)) * vectors_of(columns) * kLanes;
}

// Panel by panel of columns; in each, row by row. Columns beyond the last are 0.
void pack_matrix(const float* weights, int depth, int columns, bool bf16, std::uint32_t* packed) {
    const int vectors = vectors_of(columns), panels = part_count(vectors, kMostVectors);
    for (int panel = 0; panel < panels; ++panel) {
        const Part part = part_of(vectors, panels, panel);
        for (int step = 0; step < steps_of(depth, bf16); ++step)
            for (int c = part.first * kLanes; c < (part.first + part.size) * kLanes; ++c, ++packed) {
                const float* row = weights + static_cast<std::size_t>(c) * depth;
                if (c >= columns)
                    *packed = 0;
                else if (bf16)
                    *packed = bf16_of(row[2 * step]) | static_cast<std::uint32_t>(bf16_of(row[2 * step + 1])) << 16;
                else
                    *packed = bits_of(row[step]);
            }
    }
}

#if defined(DN_HAVE_AVX512)

namespace {

struct Tile {
    const char* x;        // of the first pixel
    std::size_t x_bytes;  // between pixels
    const std::uint32_t* matrix;
    int steps;
    const float* biases;
    float slope;
    ProductOutput dst;
    __mmask16 last;  // lanes of the last vector that there are columns for
};

template <bool kBf16>
DN_AVX512 inline __m512 multiply_add(__m512 sum, std::int32_t x, __m512i y) {
    const __m512i a = _mm512_set1_epi32(x);
    if constexpr (kBf16) return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)y);
    return _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(y), sum);
}

template <bool kBf16, int kPixels, int kVectors>
DN_AVX512 void multiply_tile(const Tile& tile) {
    __m512 sums[kPixels][kVectors];
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
        const __m512 bias =
            _mm512_maskz_loadu_ps(v + 1 < kVectors ? __mmask16(0xffff) : tile.last, tile.biases + v * kLanes);
#pragma GCC unroll 16
        for (int p = 0; p < kPixels; ++p) sums[p][v] = bias;
    }
    const std::uint32_t* matrix = tile.matrix;
    for (int step = 0; step < tile.steps; ++step, matrix += kVectors * kLanes) {
        __m512i y[kVectors];
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) y[v] = _mm512_loadu_si512(matrix + v * kLanes);
#pragma GCC unroll 16
        for (int p = 0; p < kPixels; ++p) {
            std::int32_t x;
            std::memcpy(&x, tile.x + p * tile.x_bytes + step * sizeof x, sizeof x);
#pragma GCC unroll 16
            for (int v = 0; v < kVectors; ++v) sums[p][v] = multiply_add<kBf16>(sums[p][v], x, y[v]);
        }
    }
    const __m512 slope = _mm512_set1_ps(tile.slope);
#pragma GCC unroll 16
    for (int p = 0; p < kPixels; ++p)
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) {
            const __m512 sum = _mm512_max_ps(_mm512_mul_ps(sums[p][v], slope), sums[p][v]);
            float* dst = tile.dst.data + p * tile.dst.pixel_pitch + v * tile.dst.block_pitch;
            if (v + 1 < kVectors || tile.last == 0xffff)
                _mm512_storeu_ps(dst, sum);
            else
                _mm512_mask_storeu_ps(dst, tile.last, sum);
        }
}

using MultiplyTile = void (*)(const Tile&);

template <bool kBf16, int kVectors, int kIndex>
constexpr MultiplyTile tile_function() {
    if constexpr ((kIndex + 1) * kVectors <= kMostSums) return multiply_tile<kBf16, kIndex + 1, kVectors>;
    return nullptr;
}

template <bool kBf16, int kVectors, int... kIndices>
MultiplyTile find_tile(int pixels, std::integer_sequence<int, kIndices...>) {
    static constexpr MultiplyTile table[] = {tile_function<kBf16, kVectors, kIndices>()...};
    return table[pixels - 1];
}

template <bool kBf16>
MultiplyTile find_tile(int pixels, int vectors) {
    using Pixels = std::make_integer_sequence<int, kMostPixels>;
    switch (vectors) {
        case 1:
            return find_tile<kBf16, 1>(pixels, Pixels());
        case 2:
            return find_tile<kBf16, 2>(pixels, Pixels());
        case 3:
            return find_tile<kBf16, 3>(pixels, Pixels());
        default:
            return find_tile<kBf16, 4>(pixels, Pixels());
    }
}

}  // namespace

void multiply_pixels(const PixelProduct& product, std::size_t pixels, const ProductOutput& output) {
    const int vectors = vectors_of(product.columns), panels = part_count(vectors, kMostVectors);
    const int odd = product.columns % kLanes;
    const std::size_t x_bytes = product.x_pitch * (product.bf16 ? 2 : 4);
    const int steps = steps_of(product.depth, product.bf16);
    for (int panel = 0; panel < panels; ++panel) {
        const Part part = part_of(vectors, panels, panel);
        const std::size_t column = static_cast<std::size_t>(part.first) * kLanes;
        const bool masked = odd != 0 && panel + 1 == panels;
        const int most = std::min(kMostPixels, kMostSums / part.size);
        const int tiles = part_count(static_cast<int>(pixels), most);
        for (int i = 0; i < tiles; ++i) {
            const Part run = part_of(static_cast<int>(pixels), tiles, i);
            float* first = output.data + run.first * output.pixel_pitch + part.first * output.block_pitch;
            const Tile tile{static_cast<const char*>(product.x) + run.first * x_bytes,
                            x_bytes,
                            product.matrix + column * steps,
                            steps,
                            product.biases + column,
                            product.slope,
                            {first, output.pixel_pitch, output.block_pitch},
                            static_cast<__mmask16>(masked ? (1u << odd) - 1 : 0xffff)};
            (product.bf16 ? find_tile<true>(run.size, part.size) : find_tile<false>(run.size, part.size))(tile);
        }
    }
}

#else

void multiply_pixels(const PixelProduct&, std::size_t, const ProductOutput&) {}

#endif

}  // namespace dn::cpu
