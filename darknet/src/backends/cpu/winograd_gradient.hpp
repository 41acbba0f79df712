// SPDX-License-Identifier: Apache-2.0
// Gradients of 3x3 filters of stride 1 in Winograd's form: the convolution of winograd.hpp, differentiated. For each
// position of a tile, the transformed inputs of all tiles times their transformed deltas; then the transform of
// filters, transposed. Loops are in winograd_gradient.inl, compiled once per instruction set.
#pragma once

#include <cstddef>

namespace dn::cpu {

struct WinogradGradientTask {
    int tile = 4;  // outputs in each direction: 4 or 2
    int images = 0;
    const float* src = nullptr;
    std::size_t src_pitch = 0;
    int channels = 0, height = 0, width = 0;
    const float* delta = nullptr;
    std::size_t delta_pitch = 0;
    int filters = 0, out_height = 0, out_width = 0;
    int pad = 0;                 // left and above, in pixels
    float* gradients = nullptr;  // (filters, channels, 3, 3), which it adds to
};

std::size_t winograd_gradient_scratch(const WinogradGradientTask& task);  // in floats
// On all threads of the team. The sums do not depend on how many these are.
void add_filter_gradients(const WinogradGradientTask& task, float* scratch);

}  // namespace dn::cpu
