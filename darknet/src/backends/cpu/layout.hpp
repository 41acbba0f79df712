// SPDX-License-Identifier: Apache-2.0
// Between the caller's planes (n, c, h, w) in float32 and this backend's channels-last tensors.
#pragma once

#include <memory>

#include "cpu.hpp"
#include "finish.hpp"

namespace dn::cpu {

void to_planes(const Tensor& src, float* dst);
void from_planes(const float* src, const Tensor& dst);

// The same, as a layout of ByReference.
struct ChannelsLast {
    static void to_planes(const Tensor& src, float* dst) { cpu::to_planes(src, dst); }
    static void from_planes(const float* src, const Tensor& dst) { cpu::from_planes(src, dst); }
};

// Copies channels [first, first + dst.shape.c) of every pixel, converting the type.
void copy_channels(const Tensor& src, int first, const Tensor& dst);
// The job of finishing `count` pixels of dst from `first` on, whose sums are `sums`.
FinishPixels pixels_of(const Tensor& dst, const Tensor& residual, float* sums, std::size_t first, std::size_t count);
// Copies `count` pixels from `first` on to `dst`, densely, as `type`.
void copy_pixels(const Tensor& src, std::size_t first, std::size_t count, DType type, void* dst);
// The first step of every plan: the planes that `planes` points to when it runs become the network's input tensor.
std::unique_ptr<Kernel> make_input(const float* const* planes, const Tensor& dst);

}  // namespace dn::cpu
