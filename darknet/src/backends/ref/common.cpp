// SPDX-License-Identifier: Apache-2.0
#include "common.hpp"

#include <algorithm>
#include <cmath>

namespace dn::ref {

void normalize_batch(const NodeParameters& parameters, float* x, int n, Shape shape) {
    const std::size_t pixels = std::size_t{1} * shape.h * shape.w;
    for (int i = 0; i < n; ++i)
        for (int c = 0; c < shape.c; ++c) {
            const float deviation = std::sqrt(parameters.variances[c] + kBatchNormEps);
            float* plane = x + i * shape.size() + c * pixels;
            for (std::size_t p = 0; p < pixels; ++p)
                plane[p] = (plane[p] - parameters.means[c]) / deviation * parameters.scales[c] + parameters.biases[c];
        }
}

void add_biases(const NodeParameters& parameters, float* x, int n, Shape shape) {
    const std::size_t pixels = std::size_t{1} * shape.h * shape.w;
    for (int i = 0; i < n; ++i)
        for (int c = 0; c < shape.c; ++c) {
            float* plane = x + i * shape.size() + c * pixels;
            for (std::size_t p = 0; p < pixels; ++p) plane[p] += parameters.biases[c];
        }
}

namespace {

struct BlurKernel {
    int size, pad;
    float weights[9];
};

constexpr BlurKernel kBlur3{
    3, 1, {1 / 16.f, 2 / 16.f, 1 / 16.f, 2 / 16.f, 4 / 16.f, 2 / 16.f, 1 / 16.f, 2 / 16.f, 1 / 16.f}};
constexpr BlurKernel kBlur2{2, 0, {1 / 4.f, 1 / 4.f, 1 / 4.f, 1 / 4.f}};

float blurred_at(const BlurKernel& kernel, const float* plane, Shape in, int top, int left) {
    float sum = 0;
    for (int u = 0; u < kernel.size; ++u)
        for (int v = 0; v < kernel.size; ++v) {
            const int y = top + u, x = left + v;
            if (y < 0 || y >= in.h || x < 0 || x >= in.w) continue;
            sum += kernel.weights[u * kernel.size + v] * plane[std::size_t{1} * y * in.w + x];
        }
    return sum;
}

void spread(const BlurKernel& kernel, float delta, float* plane, Shape in, int top, int left) {
    for (int u = 0; u < kernel.size; ++u)
        for (int v = 0; v < kernel.size; ++v) {
            const int y = top + u, x = left + v;
            if (y < 0 || y >= in.h || x < 0 || x >= in.w) continue;
            plane[std::size_t{1} * y * in.w + x] += kernel.weights[u * kernel.size + v] * delta;
        }
}

}  // namespace

void blur(int mode, int stride_y, int stride_x, const float* src, Shape in, float* dst, Shape out) {
    const BlurKernel& kernel = mode == 1 ? kBlur3 : kBlur2;
    for (int c = 0; c < out.c; ++c) {
        const float* plane = src + std::size_t{1} * c * in.h * in.w;
        for (int i = 0; i < out.h; ++i)
            for (int j = 0; j < out.w; ++j)
                *dst++ = blurred_at(kernel, plane, in, i * stride_y - kernel.pad, j * stride_x - kernel.pad);
    }
}

void blur_backward(int mode, int stride_y, int stride_x, const float* ddst, Shape out, float* dsrc, Shape in) {
    const BlurKernel& kernel = mode == 1 ? kBlur3 : kBlur2;
    for (int c = 0; c < out.c; ++c) {
        float* plane = dsrc + std::size_t{1} * c * in.h * in.w;
        for (int i = 0; i < out.h; ++i)
            for (int j = 0; j < out.w; ++j)
                spread(kernel, *ddst++, plane, in, i * stride_y - kernel.pad, j * stride_x - kernel.pad);
    }
}

void softmax(const float* src, float* dst, int count, std::size_t step, float temperature) {
    float largest = src[0];
    for (int k = 1; k < count; ++k) largest = std::max(largest, src[k * step]);
    double sum = 0;
    for (int k = 0; k < count; ++k) {
        const double e = std::exp(static_cast<double>(src[k * step] / temperature - largest / temperature));
        dst[k * step] = static_cast<float>(e);
        sum += e;
    }
    for (int k = 0; k < count; ++k) dst[k * step] = static_cast<float>(dst[k * step] / sum);
}

void softmax(const Tree& tree, const float* src, float* dst, float temperature) {
    for (std::size_t g = 0; g < tree.group_size.size(); ++g)
        softmax(src + tree.group_offset[g], dst + tree.group_offset[g], tree.group_size[g], 1, temperature);
}

}  // namespace dn::ref
