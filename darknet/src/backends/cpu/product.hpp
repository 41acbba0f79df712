// SPDX-License-Identifier: Apache-2.0
// Convolutions as products of pixels with a matrix, in float32 on channels-last tensors of any pitch, by the calling
// thread. Loops are in product.inl, compiled once per instruction set.
#pragma once

#include <cstddef>

#include "epilogue.hpp"

namespace dn::cpu {

struct ProductTask {
    // The factors of output pixel p: `runs` runs of `depth` floats, run_pitch apart, from src + p * src_pitch on.
    const float* src = nullptr;
    std::size_t src_pitch = 0;
    int runs = 1, depth = 0;
    std::size_t run_pitch = 0;
    const float* weights = nullptr;  // of pack_product()
    int filters = 0;
    float* dst = nullptr;
    std::size_t dst_pitch = 0;
    Epilogue epilogue;  // its residual is that of pixel 0
};

std::size_t product_floats(int depth, int filters);  // of packed weights
// From (filters, depth), where depth is that of all runs.
void pack_product(const float* weights, int depth, int filters, float* packed);

int product_panels(int filters);
// Output pixels [first, first + count) of panels [first_panel, end_panel).
void multiply_pixels(const ProductTask& task, std::size_t first, std::size_t count, int first_panel, int end_panel);

}  // namespace dn::cpu
