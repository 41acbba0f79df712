// SPDX-License-Identifier: Apache-2.0
// Vector loops over rows of numbers, compiled for several instruction sets and chosen at run time. Kernels stage
// bfloat16 through a row of floats that stays in the first-level cache, so arithmetic is written once, in float.
#pragma once

#include <cstddef>

#include "../../layers/params.hpp"
#include "../../tensor.hpp"

namespace dn::cpu {

constexpr std::size_t kRow = 1024;  // floats that kernels stage at a time

void load(float* dst, const void* src, DType type, std::size_t count);
void store(void* dst, DType type, const float* src, std::size_t count);
void round_to_bf16(float* x, std::size_t count);
void activate(float* x, std::size_t count, Activation activation);
// sum[c] += the values of `pixels` pixels, `pitch` apart.
void add_pixels(float* sum, const void* src, DType type, std::size_t pitch, std::size_t pixels, std::size_t channels);
// dst = src * factors for each pixel, one factor per channel; dst and src of one type.
void scale_pixels(void* dst, std::size_t dst_pitch, const void* src, std::size_t src_pitch, DType type,
                  const float* factors, std::size_t pixels, std::size_t channels);
// Over the `count` channels of one pixel.
void normalize_channels(float* x, std::size_t count, Activation activation);
bool normalizes_channels(Activation activation);
void add(float* x, const float* y, std::size_t count);
void multiply(float* x, const float* y, std::size_t count);
void scale(float* x, float factor, std::size_t count);
// dst[i] = the largest of sources[s][i], all of one type.
void maximum(void* dst, const void* const* sources, int source_count, DType type, std::size_t count);
void add_scaled(float* x, const float* y, const float* factors, std::size_t count);  // x += y * factors
// Three planes -> pixels of three channels.
void interleave_three(float* dst, const float* src, std::size_t plane, std::size_t count);
// rows x cols -> cols x rows; pitches in elements.
void transpose(float* dst, std::size_t dst_pitch, const float* src, std::size_t src_pitch, int rows, int cols);

// `rows` rows of `size` bytes each; pitches in bytes.
void copy_rows(void* dst, std::size_t dst_pitch, const void* src, std::size_t src_pitch, std::size_t size,
               std::size_t rows);
// to[c] += from[c] for `rows` rows of `count` values each; pitches in values.
void add_rows(float* to, std::size_t to_pitch, const float* from, std::size_t from_pitch, std::size_t count,
              std::size_t rows);

// Address of element `index` of a buffer.
inline void* at(void* data, DType type, std::size_t index) { return static_cast<char*>(data) + index * bytes(type); }
inline const void* at(const void* data, DType type, std::size_t index) {
    return static_cast<const char*>(data) + index * bytes(type);
}

}  // namespace dn::cpu
