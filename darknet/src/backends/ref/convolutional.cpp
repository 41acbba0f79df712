// SPDX-License-Identifier: Apache-2.0
// [convolutional]: y[f, i, j] = act(BN(sum over c, u, v of W[f, c, u, v] x[c, i s_y + (u - P) d, j s_x + (v - P) d]) +
// b_f), c over the filter's group of channels, x zero outside. With antialiasing the strides belong to a blur behind
// it.
#include <algorithm>

#include "../../layers/layer.hpp"
#include "activations.hpp"
#include "common.hpp"
#include "ref.hpp"

namespace dn::ref {
namespace {

class Convolutional : public RefKernel {
public:
    using RefKernel::RefKernel;

    void forward() override {
        for (int i = 0; i < batch(); ++i) blurred() ? forward_blurred(i) : forward_image(src(i), dst(i), node().out);
    }

private:
    const ConvolutionalParams& params() const { return node().as<ConvolutionalParams>(); }
    bool blurred() const { return params().antialiasing != 0; }

    void forward_blurred(int i) {
        const Shape in = src_shape();
        const int shrink = params().size - 1 - 2 * params().padding;
        const Shape sharp{node().out.c, in.h - shrink, in.w - shrink};
        sharp_.resize(sharp.size());
        forward_image(src(i), sharp_.data(), sharp);
        blur(params().antialiasing, params().stride_y, params().stride_x, sharp_.data(), sharp, dst(i), node().out);
    }

    void forward_image(const float* x, float* y, Shape out) const {
        const Shape unfolded = unfolded_shape(params(), src_shape());
        unfolded.h == out.h&& unfolded.w == out.w ? correlate(x, y, out) : correlate_misread(x, y, out, unfolded);
        if (params().batch_normalize)
            normalize_batch(weights(), y, 1, out);
        else
            add_biases(weights(), y, 1, out);
        activate(params().activation, y, 1, out);
    }

    void correlate(const float* x, float* y, Shape out) const {
        const Shape in = src_shape();
        const int filters_per_group = out.c / params().groups, channels_per_group = in.c / params().groups;
        const float* w = weights().weights.data();  // (filters, channels of the group, size, size)
        std::fill_n(y, out.size(), 0.0f);
        for (int f = 0; f < out.c; ++f)
            for (int c = 0; c < channels_per_group; ++c) {
                const int channel = f / filters_per_group * channels_per_group + c;
                const float* src_plane = x + std::size_t{1} * channel * in.h * in.w;
                float* dst_plane = y + std::size_t{1} * f * out.h * out.w;
                for (int u = 0; u < params().size; ++u)
                    for (int v = 0; v < params().size; ++v) add_shifted(*w++, u, v, src_plane, dst_plane, out);
            }
    }

    // dst[i, j] += weight * src[i s_y + dy, j s_x + dx] wherever that is inside.
    void add_shifted(float weight, int u, int v, const float* src_plane, float* dst_plane, Shape out) const {
        const Shape in = src_shape();
        const int stride_y = blurred() ? 1 : params().stride_y, stride_x = blurred() ? 1 : params().stride_x;
        const int dy = (u - params().padding) * params().dilation, dx = (v - params().padding) * params().dilation;
        const int first = dx < 0 ? (-dx + stride_x - 1) / stride_x : 0;
        const int last = std::min(out.w, in.w > dx ? (in.w - 1 - dx) / stride_x + 1 : 0);
        for (int i = 0; i < out.h; ++i) {
            const int row = i * stride_y + dy;
            if (row < 0 || row >= in.h) continue;
            const float* from = src_plane + std::size_t{1} * row * in.w;
            float* to = dst_plane + std::size_t{1} * i * out.w;
            for (int j = first; j < last; ++j) to[j] += weight * from[j * stride_x + dx];
        }
    }

    // What Darknet computes where its shape of the output is not that of the windows: it writes these as a matrix
    // (unfolded.c, unfolded.h * unfolded.w) and reads them back with rows of out.h * out.w.
    void correlate_misread(const float* x, float* y, Shape out, Shape unfolded) const {
        const std::size_t pixels = std::size_t{1} * out.h * out.w, row = std::size_t{1} * unfolded.h * unfolded.w;
        const int filters_per_group = out.c / params().groups, channels_per_group = src_shape().c / params().groups;
        const float* w = weights().weights.data();
        std::fill_n(y, out.size(), 0.0f);
        for (int f = 0; f < out.c; ++f)
            for (int k = 0; k < unfolded.c; ++k, ++w)
                for (std::size_t p = 0; p < pixels; ++p) {
                    const std::size_t flat = k * pixels + p;
                    const int window = static_cast<int>(flat % row), element = static_cast<int>(flat / row);
                    const int first_channel = f / filters_per_group * channels_per_group;
                    y[f * pixels + p] +=
                        *w * window_element(x, first_channel, element, window / unfolded.w, window % unfolded.w);
                }
    }

    // Element (channel, u, v) of the window at (i, j), 0 outside the image.
    float window_element(const float* x, int first_channel, int element, int i, int j) const {
        const Shape in = src_shape();
        const int size = params().size, dilation = params().dilation, padding = params().padding;
        const int stride_y = blurred() ? 1 : params().stride_y, stride_x = blurred() ? 1 : params().stride_x;
        const int row = i * stride_y + (element / size % size - padding) * dilation;
        const int col = j * stride_x + (element % size - padding) * dilation;
        if (row < 0 || row >= in.h || col < 0 || col >= in.w) return 0;
        return x[(std::size_t{1} * (first_channel + element / (size * size)) * in.h + row) * in.w + col];
    }

    Floats sharp_;  // the output in front of the blur, one image
};

}  // namespace

std::unique_ptr<Kernel> make_convolutional(const KernelContext& context) {
    return std::make_unique<Convolutional>(context);
}

}  // namespace dn::ref
