// SPDX-License-Identifier: Apache-2.0
// Sums and products of tensors, by value, channel or pixel: shortcut, scale_channels, sam, implicit, normalization,
// softmax.
#pragma once

#include "functions.cuh"

namespace dn::cuda {

constexpr int kShortcutSources = 8;

// dst = activation(sum over s of factor_s src_s). A source with fewer channels adds to the first ones.
struct ShortcutArgs {
    View src[kShortcutSources];
    int src_channels[kShortcutSources];
    const float* factors;  // (sources, channels); null: 1
    View linear;           // keeps the function's argument; data null: not kept
    View dst;
    long long pixels;
    int sources, channels, activation;
};

template <class T>
DN_DEVICE void shortcut(const ShortcutArgs& a) {
    for (long long k = first_index(); k < a.pixels * a.channels; k += index_step()) {
        const Quotient at = divide(k, a.channels);
        float sum = 0;
        for (int s = 0; s < kShortcutSources; ++s) {
            if (s >= a.sources || at.rest >= a.src_channels[s]) continue;
            const float value = load<T>(a.src[s], at.quotient, at.rest);
            sum += a.factors ? a.factors[s * a.channels + at.rest] * value : value;
        }
        if (a.linear.data) store<T>(a.linear, at.quotient, at.rest, sum);
        store<T>(a.dst, at.quotient, at.rest, activated(a.activation, sum));
    }
}

// In the order of dn::WeightsNormalization.
enum NormalizationCode { kNormalizeNone, kNormalizeRelu, kNormalizeSoftmax };

// A shortcut's factors (sources, channels) from its weights (sources, per_source), which are one for each source or one
// for each of its channels. One thread a channel.
struct ShortcutFactorsArgs {
    const float* weights;
    float* factors;
    int sources, per_source, channels, normalization;
};

DN_DEVICE void shortcut_factors(const ShortcutFactorsArgs& a) {
    constexpr float eps = 1e-4f, smallest = 1e-3f;
    for (long long c = first_index(); c < a.channels; c += index_step()) {
        const float* weights = a.weights + (a.per_source == 1 ? 0 : c);
        float largest = -3.402823466e+38f, sum = eps;
        for (int s = 0; s < a.sources; ++s) largest = fmaxf(largest, weights[s * a.per_source]);
        for (int s = 0; s < a.sources; ++s) {
            const float w = weights[s * a.per_source];
            const float value = a.normalization == kNormalizeRelu      ? fmaxf(w, smallest)
                                : a.normalization == kNormalizeSoftmax ? expf(w - largest)
                                                                       : w;
            a.factors[s * a.channels + c] = value;
            sum += value;
        }
        if (a.normalization == kNormalizeNone) continue;
        for (int s = 0; s < a.sources; ++s) a.factors[s * a.channels + c] /= sum;
    }
}

// For each channel the sum over the pixels of first * second, in chunks, on a grid (tiles of kLanes channels, chunks).
// partial: channels * chunks.
struct ProductsArgs {
    View first, second;
    float* partial;
    long long pixels;
    int channels;
};

template <class T>
DN_DEVICE void products(const ProductsArgs& a) {
    const int c = static_cast<int>(blockIdx.x) * kLanes + lane();
    const long long chunk = (a.pixels + gridDim.y - 1) / gridDim.y, begin = chunk * blockIdx.y;
    const long long end = begin + chunk < a.pixels ? begin + chunk : a.pixels;
    float sum = 0;
    if (c < a.channels)
        for (long long p = begin + warp(); p < end; p += kWarps)
            sum += load<T>(a.first, p, c) * load<T>(a.second, p, c);
    sum = lane_sum(sum);
    if (warp() == 0 && c < a.channels) a.partial[static_cast<long long>(blockIdx.y) * a.channels + c] = sum;
}

// Adds to the gradients of one source's weights, with Darknet's factor from a normalised weight to the raw one. One
// thread a weight.
struct ShortcutGradientsArgs {
    const float *partial, *factors;  // of this source
    float* gradients;                // of this source
    const float* unscale;            // factor of the gradients; null: 1
    int channels;                    // that the source shares with the output
    int chunks, per_source, normalization;
};

DN_DEVICE void shortcut_gradients(const ShortcutGradientsArgs& a) {
    const float unscale = a.unscale ? *a.unscale : 1;
    for (long long k = first_index(); k < (a.per_source == 1 ? 1 : a.channels); k += index_step()) {
        const int first = static_cast<int>(k), end = a.per_source == 1 ? a.channels : first + 1;
        float sum = 0;
        for (int c = first; c < end; ++c) {
            const float factor = a.factors[c];
            const float slope = a.normalization == kNormalizeRelu      ? factor
                                : a.normalization == kNormalizeSoftmax ? factor * (1 - factor)
                                                                       : 1;
            float total = 0;
            for (int chunk = 0; chunk < a.chunks; ++chunk)
                total += a.partial[static_cast<long long>(chunk) * a.channels + c];
            sum += total * slope;
        }
        a.gradients[k] += unscale * sum;
    }
}

// dst = activation(first * second), by value; [sam], and its deltas.
struct MultiplyArgs {
    View first, second;
    View linear;  // keeps the function's argument; data null: not kept
    View dst;
    long long pixels;
    int channels, activation;
    bool add;
};

template <class T>
DN_DEVICE void multiply(const MultiplyArgs& a) {
    for (long long k = first_index(); k < a.pixels * a.channels; k += index_step()) {
        const Quotient at = divide(k, a.channels);
        const float product = load<T>(a.first, at.quotient, at.rest) * load<T>(a.second, at.quotient, at.rest);
        if (a.linear.data) store<T>(a.linear, at.quotient, at.rest, product);
        put<T>(a.dst, at.quotient, at.rest, activated(a.activation, product), a.add);
    }
}

// dst = activation(factor * src). A factor for each channel of an image, whose tensor has a pixel for each image, or
// (by_pixel) one for each pixel, whose tensor has one channel. Backward: the delta of src is that of dst, scaled.
struct ScaleChannelsArgs {
    View factors, src;
    View linear;  // keeps the function's argument; data null: not kept
    View dst;
    int images, pixels, channels, activation;  // pixels of an image
    bool by_pixel, add;
};

template <class T>
DN_DEVICE void scale_channels(const ScaleChannelsArgs& a) {
    const long long pixels = static_cast<long long>(a.images) * a.pixels;
    for (long long k = first_index(); k < pixels * a.channels; k += index_step()) {
        const Quotient at = divide(k, a.channels), image = divide(at.quotient, a.pixels);
        const float factor =
            a.by_pixel ? load<T>(a.factors, at.quotient, 0) : load<T>(a.factors, image.quotient, at.rest);
        const float product = factor * load<T>(a.src, at.quotient, at.rest);
        if (a.linear.data) store<T>(a.linear, at.quotient, at.rest, product);
        put<T>(a.dst, at.quotient, at.rest, activated(a.activation, product), a.add);
    }
}

// The delta of the factors: sums of delta * src. By channel on a grid (tiles of kLanes channels, images).
struct ScaleFactorsArgs {
    View delta, src;
    View target;
    int images, pixels, channels;  // pixels of an image
    bool add;
};

template <class T>
DN_DEVICE void scale_factors_by_channel(const ScaleFactorsArgs& a) {
    const int c = static_cast<int>(blockIdx.x) * kLanes + lane();
    const long long first = static_cast<long long>(blockIdx.y) * a.pixels;
    float sum = 0;
    if (c < a.channels)
        for (int p = warp(); p < a.pixels; p += kWarps)
            sum += load<T>(a.delta, first + p, c) * load<T>(a.src, first + p, c);
    sum = lane_sum(sum);
    if (warp() == 0 && c < a.channels) put<T>(a.target, blockIdx.y, c, sum, a.add);
}

// One thread a pixel. Darknet divides by the number of pixels of an image.
template <class T>
DN_DEVICE void scale_factors_by_pixel(const ScaleFactorsArgs& a) {
    for (long long p = first_index(); p < static_cast<long long>(a.images) * a.pixels; p += index_step()) {
        float sum = 0;
        for (int c = 0; c < a.channels; ++c) sum += load<T>(a.delta, p, c) * load<T>(a.src, p, c);
        put<T>(a.target, p, 0, sum / static_cast<float>(a.pixels), a.add);
    }
}

// Adds the sum over the images of a delta to gradients (channels, pixels): those of [implicit].
struct SumImagesArgs {
    View delta;
    float* gradients;
    const float* unscale;  // factor of the gradients; null: 1
    int images, pixels, channels;
};

template <class T>
DN_DEVICE void sum_images(const SumImagesArgs& a) {
    const float unscale = a.unscale ? *a.unscale : 1;
    for (long long k = first_index(); k < static_cast<long long>(a.pixels) * a.channels; k += index_step()) {
        const Quotient at = divide(k, a.channels);
        float sum = 0;
        for (int i = 0; i < a.images; ++i)
            sum += load<T>(a.delta, static_cast<long long>(i) * a.pixels + at.quotient, at.rest);
        a.gradients[at.rest * static_cast<long long>(a.pixels) + at.quotient] += unscale * sum;
    }
}

// Local response normalisation: y_c = x_c n_c^-beta. Darknet's window: that of channel 0 ends before size / 2, so an
// element leaves that never entered. One thread a pixel.
struct ResponseArgs {
    View src, dst, delta, target;  // the last two in backward
    float* norms;                  // (pixels, channels)
    long long pixels;
    int channels, size;
    float alpha, beta, kappa;
    bool add;
};

template <class T>
DN_DEVICE void normalize_response(const ResponseArgs& a) {
    const int ahead = a.size / 2, behind = (a.size - 1) / 2 + 1;
    for (long long p = first_index(); p < a.pixels; p += index_step()) {
        const auto square = [&](int c) {
            const float x = c >= 0 && c < a.channels ? load<T>(a.src, p, c) : 0;
            return x * x;
        };
        float norm = a.kappa;
        for (int c = 0; c < smaller(ahead, a.channels); ++c) norm += a.alpha * square(c);
        for (int c = 0; c < a.channels; ++c) {
            if (c > 0) norm += a.alpha * (square(c + ahead) - square(c - behind));
            a.norms[p * a.channels + c] = norm;
            store<T>(a.dst, p, c, load<T>(a.src, p, c) * powf(norm, -a.beta));
        }
    }
}

// delta_c n_c^-beta - 2 alpha beta x_c sum over k of share(c, k) delta_k y_k / n_k, where x_c^2 is share(c, k) times in
// the norm of channel k. One thread a value.
template <class T>
DN_DEVICE void normalize_response_backward(const ResponseArgs& a) {
    const int ahead = a.size / 2, behind = (a.size - 1) / 2 + 1;
    for (long long i = first_index(); i < a.pixels * a.channels; i += index_step()) {
        const Quotient at = divide(i, a.channels);
        const long long p = at.quotient;
        const int c = at.rest;
        const float* norms = a.norms + p * a.channels;
        float sum = 0;
        for (int k = 0; k < a.channels; ++k) {
            const bool entered = c < ahead || (c > ahead && k >= c - ahead);
            const int share = (entered ? 1 : 0) - (k >= c + behind ? 1 : 0);
            if (share != 0) sum += static_cast<float>(share) * load<T>(a.delta, p, k) * load<T>(a.dst, p, k) / norms[k];
        }
        const float own = load<T>(a.delta, p, c) * powf(norms[c], -a.beta);
        put<T>(a.target, p, c, own - 2 * a.alpha * a.beta * load<T>(a.src, p, c) * sum, a.add);
    }
}

// dst = exp(src / temperature) normalised to the sum 1, in groups of channels: `count` each, or as the two arrays say.
// One thread a pixel and group. dst is float32.
struct SoftmaxArgs {
    View src, dst;
    const int *group_offset, *group_size;  // null: groups of `count`
    long long pixels;
    int groups, count;
    float temperature;
};

// Channels first, first + 1, ... of a pixel.
template <class T>
DN_DEVICE void softmax_of(View src, long long pixel, View dst, long long to, int first, int count, float temperature) {
    float largest = load<T>(src, pixel, first), sum = 0;
    for (int c = first + 1; c < first + count; ++c) largest = fmaxf(largest, load<T>(src, pixel, c));
    for (int c = first; c < first + count; ++c) {
        const float value = expf(load<T>(src, pixel, c) / temperature - largest / temperature);
        store<float>(dst, to, c, value);
        sum += value;
    }
    for (int c = first; c < first + count; ++c) store<float>(dst, to, c, load<float>(dst, to, c) / sum);
}

template <class T>
DN_DEVICE void softmax(const SoftmaxArgs& a) {
    for (long long k = first_index(); k < a.pixels * a.groups; k += index_step()) {
        const Quotient at = divide(k, a.groups);
        const int first = a.group_offset ? a.group_offset[at.rest] : at.rest * a.count;
        const int count = a.group_size ? a.group_size[at.rest] : a.count;
        softmax_of<T>(a.src, at.quotient, a.dst, at.quotient, first, count, a.temperature);
    }
}

DN_KERNEL(channels, shortcut, ShortcutArgs)
DN_PLAIN_KERNEL(channels, shortcut_factors, ShortcutFactorsArgs)
DN_KERNEL(channels, products, ProductsArgs)
DN_PLAIN_KERNEL(channels, shortcut_gradients, ShortcutGradientsArgs)
DN_KERNEL(channels, multiply, MultiplyArgs)
DN_KERNEL(channels, scale_channels, ScaleChannelsArgs)
DN_KERNEL(channels, scale_factors_by_channel, ScaleFactorsArgs)
DN_KERNEL(channels, scale_factors_by_pixel, ScaleFactorsArgs)
DN_KERNEL(channels, sum_images, SumImagesArgs)
DN_KERNEL(channels, normalize_response, ResponseArgs)
DN_KERNEL(channels, normalize_response_backward, ResponseArgs)
DN_KERNEL(channels, softmax, SoftmaxArgs)

}  // namespace dn::cuda
