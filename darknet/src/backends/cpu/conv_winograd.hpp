// SPDX-License-Identifier: Apache-2.0
// How the tiles of a convolution in Winograd's form are divided, and the scratch that this takes.
#pragma once

#include "cpu.hpp"
#include "winograd.hpp"

namespace dn::cpu {

struct WinogradParts {
    int tiles;                      // of all images
    int tile_parts, panel_parts;    // work items are their products
    std::size_t scratch_of_thread;  // bytes
};

WinogradParts divide_winograd(int tile, int images, Shape src, Shape dst, int threads);

// One such convolution on the threads of a plan and in its scratch. The weights may change between runs.
class WinogradConvolution {
public:
    WinogradConvolution(Runtime& runtime, int tile, const Tensor& src, const Tensor& dst, int pad, const float* weights,
                        const Epilogue& epilogue);
    void run() const;

private:
    Runtime& runtime_;
    WinogradParts parts_;
    WinogradTask task_;
};

// "winograd4:avx2"
std::string winograd_name(int tile);

// Bytes of scratch that the convolutions of a plan take; they share them.
std::size_t winograd_bytes(const FusedGraph& fused, DType type, const PlanOptions& options);

}  // namespace dn::cpu
