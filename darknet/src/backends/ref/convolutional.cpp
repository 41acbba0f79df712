// SPDX-License-Identifier: Apache-2.0
// [convolutional]: y[f, i, j] = act(BN(sum over c, u, v of W[f, c, u, v] x[c, i s_y + (u - P) d, j s_x + (v - P) d]) +
// b_f), c over the filter's group of channels, x zero outside. With antialiasing the strides belong to a blur behind
// it.
#include <algorithm>

#include "../../error.hpp"
#include "../../layers/layer.hpp"
#include "activations.hpp"
#include "batch_norm.hpp"
#include "common.hpp"
#include "ref.hpp"

namespace dn::ref {
namespace {

class Convolutional : public RefKernel {
public:
    explicit Convolutional(const HostContext& context) : RefKernel(context), before_blur_shape_(node().out) {
        if (blurred()) {
            const int shrink = params().size - 1 - 2 * params().padding;
            before_blur_shape_ = {node().out.c, src_shape().h - shrink, src_shape().w - shrink};
        }
        if (misread() && context.training())
            throw Error(Status::backend, node().where,
                        "cannot be trained: padding and dilation do not fit each other; expected padding = size / 2");
        if (!blurred()) return;
        before_blur_.resize(batch() * before_blur_shape_.size());
        if (context.training()) dbefore_blur_.resize(before_blur_.size());
    }

    void forward() override {
        float* y = blurred() ? before_blur_.data() : dst(0);  // (n, before_blur_shape_)
        for (int i = 0; i < batch(); ++i)
            misread() ? correlate_misread(src(i), y + i * before_blur_shape_.size())
                      : correlate(src(i), y + i * before_blur_shape_.size());
        normalize(y);
        if (context_.training() && slope_needs_input(params().activation))
            linear_.assign(y, y + batch() * before_blur_shape_.size());
        activate(params().activation, y, batch(), before_blur_shape_);
        for (int i = 0; i < batch() && blurred(); ++i)
            blur(params().antialiasing, params().stride_y, params().stride_x, y + i * before_blur_shape_.size(),
                 before_blur_shape_, dst(i), node().out);
    }

    void backward() override {
        float* delta = ddst(0);
        if (blurred()) {
            delta = dbefore_blur_.data();
            std::fill(dbefore_blur_.begin(), dbefore_blur_.end(), 0.0f);
            for (int i = 0; i < batch(); ++i)
                blur_backward(params().antialiasing, params().stride_y, params().stride_x, ddst(i), node().out,
                              delta + i * before_blur_shape_.size(), before_blur_shape_);
        }
        const float* y = blurred() ? before_blur_.data() : dst(0);
        multiply_slope(params().activation, linear_.data(), y, delta, batch(), before_blur_shape_);
        if (params().batch_normalize)
            batch_norm_.backward(weights(), gradients(), delta, batch(), before_blur_shape_);
        else
            add_bias_gradients(gradients(), delta, batch(), before_blur_shape_);
        for (int i = 0; i < batch(); ++i) correlate_backward(src(i), delta + i * before_blur_shape_.size(), dsrc(i));
    }

private:
    const ConvolutionalParams& params() const { return node().as<ConvolutionalParams>(); }
    bool blurred() const { return params().antialiasing != 0; }
    // Whether Darknet's shape of the output is not that of the windows.
    bool misread() const { return !counts_windows(params(), src_shape(), before_blur_shape_); }

    void normalize(float* y) {
        if (!params().batch_normalize)
            add_biases(weights(), y, batch(), before_blur_shape_);
        else if (context_.training())
            batch_norm_.forward(weights(), *context_.statistics, y, batch(), before_blur_shape_);
        else
            normalize_batch(weights(), y, batch(), before_blur_shape_);
    }

    // Calls visit(index of the weight, u, v, plane of the source, plane of the output) for every weight.
    template <class Visit>
    void for_weights(Visit&& visit) const {
        const Shape in = src_shape(), out = before_blur_shape_;
        const int filters_per_group = out.c / params().groups, channels_per_group = in.c / params().groups;
        std::size_t w = 0;  // (filters, channels of the group, size, size)
        for (int f = 0; f < out.c; ++f)
            for (int c = 0; c < channels_per_group; ++c) {
                const int channel = f / filters_per_group * channels_per_group + c;
                const std::size_t src_plane = std::size_t{1} * channel * in.h * in.w;
                const std::size_t dst_plane = std::size_t{1} * f * out.h * out.w;
                for (int u = 0; u < params().size; ++u)
                    for (int v = 0; v < params().size; ++v) visit(w++, u, v, src_plane, dst_plane);
            }
    }

    // Calls visit(first pixel of the source, of the output, how many, step in the source) for each row that a weight
    // at (u, v) joins.
    template <class Visit>
    void for_rows(int u, int v, Visit&& visit) const {
        const Shape in = src_shape(), out = before_blur_shape_;
        const int stride_y = blurred() ? 1 : params().stride_y, stride_x = blurred() ? 1 : params().stride_x;
        const int dy = (u - params().padding) * params().dilation, dx = (v - params().padding) * params().dilation;
        const int first = dx < 0 ? (-dx + stride_x - 1) / stride_x : 0;
        const int last = std::min(out.w, in.w > dx ? (in.w - 1 - dx) / stride_x + 1 : 0);
        for (int i = 0; i < out.h && first < last; ++i) {
            const int row = i * stride_y + dy;
            if (row < 0 || row >= in.h) continue;
            visit(std::size_t{1} * row * in.w + first * stride_x + dx, std::size_t{1} * i * out.w + first, last - first,
                  stride_x);
        }
    }

    void correlate(const float* x, float* y) const {
        std::fill_n(y, before_blur_shape_.size(), 0.0f);
        for_weights([&](std::size_t w, int u, int v, std::size_t src_plane, std::size_t dst_plane) {
            const float weight = weights().weights[w];
            for_rows(u, v, [&](std::size_t from, std::size_t to, int count, int step) {
                for (int j = 0; j < count; ++j) y[dst_plane + to + j] += weight * x[src_plane + from + j * step];
            });
        });
    }

    // Darknet's result if its output shape is not that of the windows: it writes these as a matrix
    // (unfolded.c, unfolded.h * unfolded.w) and reads them back with rows of out.h * out.w.
    void correlate_misread(const float* x, float* y) const {
        const Shape out = before_blur_shape_, unfolded = unfolded_shape(params(), src_shape());
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

    // dx (may be null) += W' delta; gradient of W += delta * x.
    void correlate_backward(const float* x, const float* delta, float* dx) const {
        for_weights([&](std::size_t w, int u, int v, std::size_t src_plane, std::size_t dst_plane) {
            const float weight = weights().weights[w];
            float sum = 0;
            for_rows(u, v, [&](std::size_t from, std::size_t to, int count, int step) {
                for (int j = 0; j < count; ++j) {
                    const float d = delta[dst_plane + to + j];
                    sum += d * x[src_plane + from + j * step];
                    if (dx) dx[src_plane + from + j * step] += weight * d;
                }
            });
            gradients().weights[w] += sum;
        });
    }

    Shape before_blur_shape_;            // of the output in front of the blur
    Floats before_blur_, dbefore_blur_;  // (n, before_blur_shape_), with antialiasing
    Floats linear_;                      // in front of the activation, where its slope asks for that
    BatchNorm batch_norm_;
};

}  // namespace

std::unique_ptr<Kernel> make_convolutional(const HostContext& context) {
    return std::make_unique<Convolutional>(context);
}

}  // namespace dn::ref
