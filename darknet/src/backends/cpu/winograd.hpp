// SPDX-License-Identifier: Apache-2.0
// 3x3 convolutions of stride 1 in Winograd's form, in float32 on channels-last tensors of any pitch: tiles of 4x4 (2x2)
// outputs take 4 (2.25) times fewer multiplications. Weights are kept as small as they are and transformed block by
// block in the cache: of a deep layer, reading transformed ones from memory would take longer than the products.
// Loops are in winograd.inl, compiled once per instruction set.
#pragma once

#include <cstddef>

#include "epilogue.hpp"

namespace dn::cpu {

struct WinogradTask {
    int tile = 4;  // outputs in each direction: 4 or 2
    const float* src = nullptr;
    std::size_t src_pitch = 0;
    int channels = 0, height = 0, width = 0;
    float* dst = nullptr;
    std::size_t dst_pitch = 0;
    int filters = 0, out_height = 0, out_width = 0;
    int pad = 0;                     // left and above, in pixels
    const float* weights = nullptr;  // of pack_winograd()
    Epilogue epilogue;
};

std::size_t winograd_floats(int channels, int filters);  // of packed weights
// backward: from the gradient of the output to that of the input, with filters that are turned around and those of an
// input channel in place of those of an output channel.
enum class WinogradPass { forward, backward };

// From Darknet's order (filters, channels, 3, 3). A backward pass reads `filters` and writes `channels`: they change
// places here as well, (channels, filters, 3, 3).
void pack_winograd(const float* weights, int channels, int filters, WinogradPass pass, float* packed);

// Filters lie in panels of kPanel (winograd.inl); the last may be narrower.
int winograd_panels(int filters);
// Of all images together, row by row.
int winograd_tiles(int tile, int images, int out_height, int out_width);
// Floats that convolve_tiles() needs of its own for `tiles` tiles.
std::size_t winograd_scratch(int tile, int channels, int tiles);
// Tiles [first, first + count) of panels [first_panel, end_panel), by the calling thread. The sums of an output do not
// depend on how tiles and panels are divided.
void convolve_tiles(const WinogradTask& task, int first, int count, int first_panel, int end_panel, float* scratch);

}  // namespace dn::cpu
