// SPDX-License-Identifier: Apache-2.0
#include "depthwise.hpp"

#include <algorithm>

#include "avx512.hpp"
#include "rows.hpp"

namespace dn::cpu {

#if defined(DN_HAVE_AVX512)

namespace {

constexpr int kLanes = 16, kSize = kDepthwiseSize;
constexpr int kPixels = 4;  // outputs at a time, which share the inputs that they overlap in

inline const float* block_of(const DepthwiseRow& row, int r, std::size_t channel) {
    return row.rows[r] + channel / kLanes * row.block_pitch;
}

DN_AVX512 inline void put(void* dst, DType type, std::size_t index, __m512 sum, __m512 slope) {
    const __m512 y = _mm512_max_ps(_mm512_mul_ps(sum, slope), sum);
    if (type == DType::f32)
        _mm512_storeu_ps(static_cast<float*>(dst) + index, y);
    else
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(static_cast<std::uint16_t*>(dst) + index),
                            (__m256i)_mm512_cvtneps_pbh(y));
}

// Outputs [x, x + kCount) of one block of channels, whose windows lie inside the row.
template <int kRows, int kStride, int kCount>
DN_AVX512 inline void convolve_inside(const DepthwiseRow& row, const __m512 (&weights)[kRows][kSize], __m512 bias,
                                      int x, std::size_t channel, void* dst, DType type) {
    __m512 sums[kCount];
#pragma GCC unroll 8
    for (int p = 0; p < kCount; ++p) sums[p] = bias;
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
        const float* src = block_of(row, r, channel) + static_cast<std::size_t>(x * kStride - 1) * kLanes;
#pragma GCC unroll 16
        for (int column = 0; column < (kCount - 1) * kStride + kSize; ++column) {
            const __m512 value = _mm512_loadu_ps(src + column * kLanes);
#pragma GCC unroll 8
            for (int p = 0; p < kCount; ++p) {
                const int k = column - p * kStride;
                if (k >= 0 && k < kSize) sums[p] = _mm512_fmadd_ps(value, weights[r][k], sums[p]);
            }
        }
    }
    const __m512 slope = _mm512_set1_ps(row.slope);
#pragma GCC unroll 8
    for (int p = 0; p < kCount; ++p)
        put(dst, type, static_cast<std::size_t>(x + p) * row.channels + channel, sums[p], slope);
}

// One output whose window may reach beyond the row.
template <int kRows>
DN_AVX512 inline void convolve_edge(const DepthwiseRow& row, const __m512 (&weights)[kRows][kSize], __m512 bias, int x,
                                    std::size_t channel, void* dst, DType type) {
    __m512 sum = bias;
    for (int r = 0; r < kRows; ++r)
        for (int k = 0; k < kSize; ++k) {
            const int column = x * row.stride - 1 + k;
            if (column < 0 || column >= row.width) continue;
            const float* src = block_of(row, r, channel) + static_cast<std::size_t>(column) * kLanes;
            sum = _mm512_fmadd_ps(_mm512_loadu_ps(src), weights[r][k], sum);
        }
    put(dst, type, static_cast<std::size_t>(x) * row.channels + channel, sum, _mm512_set1_ps(row.slope));
}

template <int kRows, int kStride>
DN_AVX512 void convolve_row_of(const DepthwiseRow& row, void* dst, DType type) {
    const int inside = std::min(row.out_width, (row.width - kSize + 1) / kStride + 1);  // end of whole windows
    for (int channel = 0; channel < row.channels; channel += kLanes) {
        __m512 weights[kRows][kSize];
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
            for (int k = 0; k < kSize; ++k)
                weights[r][k] = _mm512_loadu_ps(row.weights[r] + k * row.channels + channel);
        const __m512 bias = _mm512_loadu_ps(row.biases + channel);
        int x = 0;
        convolve_edge<kRows>(row, weights, bias, x++, channel, dst, type);
        for (; x + kPixels <= inside; x += kPixels)
            convolve_inside<kRows, kStride, kPixels>(row, weights, bias, x, channel, dst, type);
        for (; x < inside; ++x) convolve_inside<kRows, kStride, 1>(row, weights, bias, x, channel, dst, type);
        for (; x < row.out_width; ++x) convolve_edge<kRows>(row, weights, bias, x, channel, dst, type);
    }
}

template <int kStride>
void convolve_rows_of(const DepthwiseRow& row, void* dst, DType type) {
    switch (row.row_count) {
        case 1:
            return convolve_row_of<1, kStride>(row, dst, type);
        case 2:
            return convolve_row_of<2, kStride>(row, dst, type);
        default:
            return convolve_row_of<3, kStride>(row, dst, type);
    }
}

}  // namespace

void convolve_row(const DepthwiseRow& row, void* dst, DType type) {
    if (row.stride == 1) return convolve_rows_of<1>(row, dst, type);
    convolve_rows_of<2>(row, dst, type);
}

#else

void convolve_row(const DepthwiseRow&, void*, DType) {}

#endif

}  // namespace dn::cpu
