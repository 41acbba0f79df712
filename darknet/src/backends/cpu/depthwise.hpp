// SPDX-License-Identifier: Apache-2.0
// One row of a depthwise convolution on float32 rows of channels-last pixels, by the calling thread.
// Needs has_avx512().
#pragma once

#include <cstddef>

#include "../../tensor.hpp"

namespace dn::cpu {

constexpr int kDepthwiseSize = 3;

// dst = y > 0 ? y : slope * y, in the given type, channels last and dense. The input has its channels in blocks of 16:
// those of neighbouring pixels lie side by side, and `block_pitch` floats further are the next 16 of the same row.
struct DepthwiseRow {
    const float* rows[kDepthwiseSize];     // of the input under the window, without those beyond its border
    const float* weights[kDepthwiseSize];  // of these rows: (columns, channels)
    int row_count;
    std::size_t block_pitch;
    const float* biases;
    int channels, width, out_width, stride;  // padded by 1
    float slope;
};
void convolve_row(const DepthwiseRow& row, void* dst, DType type);

}  // namespace dn::cpu
