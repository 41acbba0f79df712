// SPDX-License-Identifier: Apache-2.0
// [maxpool]: the maximum of each window over the positions inside the image; with maxpool_depth that of the channels
// c, c + out_channels, c + 2 out_channels, ... With antialiasing the strides belong to a blur behind it.
#include <algorithm>
#include <limits>

#include "common.hpp"
#include "ref.hpp"

namespace dn::ref {
namespace {

class Maxpool : public RefKernel {
public:
    using RefKernel::RefKernel;

    void forward() override {
        for (int i = 0; i < batch(); ++i) {
            if (params().depth)
                pool_channels(src(i), dst(i));
            else if (params().antialiasing != 0)
                pool_blurred(src(i), dst(i));
            else
                pool(src(i), dst(i), node().out, params().stride_y, params().stride_x);
        }
    }

    void backward() override {
        for (int i = 0; i < batch() && dsrc(0); ++i) {
            if (params().depth) {
                pool_channels_backward(src(i), ddst(i), dsrc(i));
            } else if (params().antialiasing != 0) {
                Floats dbefore_blur(before_blur_shape().size());
                blur_backward(params().antialiasing, params().stride_y, params().stride_x, ddst(i), node().out,
                              dbefore_blur.data(), before_blur_shape());
                pool_backward(src(i), dbefore_blur.data(), dsrc(i), before_blur_shape(), 1, 1);
            } else {
                pool_backward(src(i), ddst(i), dsrc(i), node().out, params().stride_y, params().stride_x);
            }
        }
    }

private:
    static constexpr float kNothing = std::numeric_limits<float>::lowest();  // of a window outside the image

    const PoolParams& params() const { return node().as<PoolParams>(); }

    Shape before_blur_shape() const {
        const Shape in = src_shape();
        const int shrink = params().size - 1 - params().padding;
        return {in.c, in.h - shrink, in.w - shrink};
    }

    // The first maximum, in the order that forward looks, takes the delta.
    void pool_channels_backward(const float* x, const float* delta, float* dx) const {
        const std::size_t pixels = std::size_t{1} * node().out.h * node().out.w;
        for (int g = 0; g < params().out_channels; ++g)
            for (std::size_t p = 0; p < pixels; ++p) {
                int best = g;
                for (int c = g; c < src_shape().c; c += params().out_channels)
                    if (x[c * pixels + p] > x[best * pixels + p]) best = c;
                dx[best * pixels + p] += delta[g * pixels + p];
            }
    }

    void pool_backward(const float* x, const float* delta, float* dx, Shape out, int stride_y, int stride_x) const {
        const Shape in = src_shape();
        const int offset = params().padding / 2;
        for (int c = 0; c < out.c; ++c) {
            const std::size_t plane = std::size_t{1} * c * in.h * in.w;
            for (int i = 0; i < out.h; ++i)
                for (int j = 0; j < out.w; ++j, ++delta) {
                    const long long best = window_argmax(x + plane, i * stride_y - offset, j * stride_x - offset);
                    if (best >= 0) dx[plane + best] += *delta;
                }
        }
    }

    // -1 for a window outside the image.
    long long window_argmax(const float* plane, int top, int left) const {
        const Shape in = src_shape();
        float largest = kNothing;
        long long best = -1;
        for (int row = std::max(top, 0); row < std::min(top + params().size, in.h); ++row)
            for (int col = std::max(left, 0); col < std::min(left + params().size, in.w); ++col) {
                const long long at = 1LL * row * in.w + col;
                if (plane[at] > largest) {
                    largest = plane[at];
                    best = at;
                }
            }
        return best;
    }

    void pool_channels(const float* x, float* y) const {
        const std::size_t pixels = std::size_t{1} * node().out.h * node().out.w;
        std::fill_n(y, node().out.size(), kNothing);
        for (int c = 0; c < src_shape().c; ++c) {
            float* plane = y + c % params().out_channels * pixels;
            for (std::size_t p = 0; p < pixels; ++p) plane[p] = std::max(plane[p], x[c * pixels + p]);
        }
    }

    void pool_blurred(const float* x, float* y) {
        const Shape sharp = before_blur_shape();
        before_blur_.resize(sharp.size());
        pool(x, before_blur_.data(), sharp, 1, 1);
        blur(params().antialiasing, params().stride_y, params().stride_x, before_blur_.data(), sharp, y, node().out);
    }

    void pool(const float* x, float* y, Shape out, int stride_y, int stride_x) const {
        const Shape in = src_shape();
        const int offset = params().padding / 2;
        for (int c = 0; c < out.c; ++c) {
            const float* plane = x + std::size_t{1} * c * in.h * in.w;
            for (int i = 0; i < out.h; ++i)
                for (int j = 0; j < out.w; ++j) *y++ = window_max(plane, i * stride_y - offset, j * stride_x - offset);
        }
    }

    float window_max(const float* plane, int top, int left) const {
        const Shape in = src_shape();
        float largest = kNothing;
        for (int row = std::max(top, 0); row < std::min(top + params().size, in.h); ++row)
            for (int col = std::max(left, 0); col < std::min(left + params().size, in.w); ++col)
                largest = std::max(largest, plane[std::size_t{1} * row * in.w + col]);
        return largest;
    }

    Floats before_blur_;  // the output in front of the blur, one image
};

}  // namespace

std::unique_ptr<Kernel> make_maxpool(const HostContext& context) { return std::make_unique<Maxpool>(context); }

}  // namespace dn::ref
