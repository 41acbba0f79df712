// SPDX-License-Identifier: Apache-2.0
// Steps that several kernels share: batch normalisation, biases, the blur of antialiasing, softmax.
#pragma once

#include "../../parameters.hpp"

namespace dn::ref {

constexpr float kBatchNormEps = static_cast<float>(kBatchNormEpsilon);

// x = (x - mean) / sqrt(variance + eps) * scale + bias per channel, planes (n, c, h, w), with the rolling statistics.
void normalize_batch(const NodeParameters& parameters, float* x, int n, Shape shape);
// x += bias per channel, planes (n, c, h, w).
void add_biases(const NodeParameters& parameters, float* x, int n, Shape shape);

// The low-pass filter that antialiasing puts behind a layer, on each channel of one image.
// mode 1: [1 2 1]' [1 2 1] / 16 padded by 1; mode 2: 2x2 of 1/4.
void blur(int mode, int stride_y, int stride_x, const float* src, Shape in, float* dst, Shape out);

// dsrc += what blur() passes on of ddst.
void blur_backward(int mode, int stride_y, int stride_x, const float* ddst, Shape out, float* dsrc, Shape in);

// dst_k = exp(src_k / temperature) normalised to the sum 1; values stand `step` apart.
void softmax(const float* src, float* dst, int count, std::size_t step, float temperature);
// One softmax for each group of siblings.
void softmax(const Tree& tree, const float* src, float* dst, float temperature);

}  // namespace dn::ref
