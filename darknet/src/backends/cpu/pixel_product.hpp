// SPDX-License-Identifier: Apache-2.0
// Matrix products for convolutions of 1x1 inside larger kernels: each pixel's channels times one small matrix, on data
// that is in cache and by the calling thread. Needs has_avx512(); oneDNN does the same for whole
// layers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dn::cpu {

// A (depth, columns) matrix in the order in which it is read: float32, or pairs of bfloat16 of two successive rows.
std::size_t packed_words(int depth, int columns, bool bf16);
// From Darknet's weights (columns, depth) of 1x1 filters.
void pack_matrix(const float* weights, int depth, int columns, bool bf16, std::uint32_t* packed);

// dst = y > 0 ? y : slope * y with y = x * matrix + biases, for each pixel. Pitches in elements.
struct PixelProduct {
    const void* x;  // float32 or bfloat16 as the matrix is; then depth and x_pitch are even
    std::size_t x_pitch;
    const std::uint32_t* matrix;
    const float* biases;
    int depth, columns;
    bool bf16;
    float slope;  // 1: linear, 0: relu
};
// Where the columns go: floats between pixels, and between one run of 16 columns and the next.
struct ProductOutput {
    float* data;
    std::size_t pixel_pitch, block_pitch;
};
void multiply_pixels(const PixelProduct& product, std::size_t pixels, const ProductOutput& output);

}  // namespace dn::cpu
