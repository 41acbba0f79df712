// SPDX-License-Identifier: Apache-2.0
// Batch normalisation with the activation behind it: the definition of backends/ref/batch_norm.cpp.
//
// With x^ = (x - mean) * inverse, z = x^ * scale + bias and y = f(z), a plan keeps x alone: the rest is computed again.
// Sums over the pixels of a channel have two steps: chunks of pixels in float32, then the chunks in double, both in a
// fixed order. The first step runs on a grid (tiles of kLanes channels, chunks).
#pragma once

#include "functions.cuh"

namespace dn::cuda {

constexpr float kBatchNormEpsilon = 1e-5f;  // added to a variance inside the root
constexpr float kRollingMomentum = 0.99f;   // of the rolling statistics

// What normalises. Without `mean`: z = x + bias, and without `biases` z = x.
struct Normalization {
    const float *mean, *inverse, *scales, *biases;
};

DN_DEVICE float normalized(const Normalization& by, float x, int c) {
    return by.mean ? (x - by.mean[c]) * by.inverse[c] : 0;
}

DN_DEVICE float argument_of(const Normalization& by, float x, int c) {
    if (by.mean) return normalized(by, x, c) * by.scales[c] + by.biases[c];
    return by.biases ? x + by.biases[c] : x;
}

// Calls visit(pixel) for the pixels of this thread's warp in its block's chunk.
template <class Visit>
DN_DEVICE void for_chunk(long long pixels, const Visit& visit) {
    const long long per_chunk = (pixels + gridDim.y - 1) / gridDim.y, first = per_chunk * blockIdx.y;
    const long long end = first + per_chunk < pixels ? first + per_chunk : pixels;
    for (long long p = first + warp(); p < end; p += kWarps) visit(p);
}

DN_DEVICE int tile_channel() { return static_cast<int>(blockIdx.x) * kLanes + lane(); }

// Writes the two sums of each channel of the tile, at (chunk * channels + c) * 2.
DN_DEVICE void write_partial(float* partial, int channels, float first, float second) {
    const float sum = lane_sum(first), other = lane_sum(second);
    const int c = tile_channel();
    if (warp() != 0 || c >= channels) return;
    float* to = partial + (static_cast<long long>(blockIdx.y) * channels + c) * 2;
    to[0] = sum;
    to[1] = other;
}

struct Totals {
    double first, second;
};

DN_DEVICE Totals add_partial(const float* partial, int channels, int chunks, int c) {
    Totals totals{0, 0};
    for (int chunk = 0; chunk < chunks; ++chunk) {
        const float* from = partial + (static_cast<long long>(chunk) * channels + c) * 2;
        totals.first += from[0];
        totals.second += from[1];
    }
    return totals;
}

// First step of the statistics: moments about the channel's first value, which lose less to cancellation than those
// about 0. partial: 2 * channels * chunks.
struct MomentsArgs {
    View src;
    float* partial;
    long long pixels;
    int channels;
};

template <class T>
DN_DEVICE void moments(const MomentsArgs& a) {
    const int c = tile_channel();
    float sum = 0, squares = 0;
    if (c < a.channels) {
        const float centre = load<T>(a.src, 0, c);
        for_chunk(a.pixels, [&](long long p) {
            const float value = load<T>(a.src, p, c) - centre;
            sum += value;
            squares += value * value;
        });
    }
    write_partial(a.partial, a.channels, sum, squares);
}

// Second step, one thread a channel: the batch's mean and 1 / sqrt(biased variance + epsilon); the rolling statistics
// move by a hundredth, with the unbiased variance.
struct StatisticsArgs {
    View src;
    const float* partial;
    float *mean, *inverse, *rolling_means, *rolling_variances;
    long long pixels;
    int channels, chunks;
};

template <class T>
DN_DEVICE void statistics(const StatisticsArgs& a) {
    const double count = static_cast<double>(a.pixels);
    for (long long k = first_index(); k < a.channels; k += index_step()) {
        const int c = static_cast<int>(k);
        const Totals totals = add_partial(a.partial, a.channels, a.chunks, c);
        const double offset = totals.first / count, squares = totals.second - offset * totals.first;
        const double variance = squares > 0 ? squares / count : 0;
        const double unbiased = variance * count / (count > 2 ? count - 1 : 1);
        a.mean[c] = static_cast<float>(load<T>(a.src, 0, c) + offset);
        a.inverse[c] = static_cast<float>(1 / sqrt(variance + static_cast<double>(kBatchNormEpsilon)));
        a.rolling_means[c] = kRollingMomentum * a.rolling_means[c] + (1 - kRollingMomentum) * a.mean[c];
        a.rolling_variances[c] =
            kRollingMomentum * a.rolling_variances[c] + (1 - kRollingMomentum) * static_cast<float>(unbiased);
    }
}

// Of rolling statistics: inverse = 1 / sqrt(variance + epsilon).
struct InverseArgs {
    const float* variances;
    float* inverse;
    int channels;
};

DN_DEVICE void inverse_deviation(const InverseArgs& a) {
    for (long long c = first_index(); c < a.channels; c += index_step())
        a.inverse[c] = 1 / sqrtf(a.variances[c] + kBatchNormEpsilon);
}

// dst = activation(z). dst may be src.
struct NormalizeArgs {
    View src, dst;
    Normalization by;
    long long pixels;
    int channels, activation;
};

template <class T>
DN_DEVICE void normalize(const NormalizeArgs& a) {
    for (long long k = first_index(); k < a.pixels * a.channels; k += index_step()) {
        const Quotient at = divide(k, a.channels);
        const float z = argument_of(a.by, load<T>(a.src, at.quotient, at.rest), at.rest);
        store<T>(a.dst, at.quotient, at.rest, activated(a.activation, z));
    }
}

struct NormalizeBackwardArgs {
    View src;    // x
    View delta;  // of y
    View target;
    Normalization by;
    float* partial;                          // normalize_sums writes it
    const float *mean_delta, *mean_product;  // from normalize_gradients
    long long pixels;
    int channels, activation;
    bool add;
};

// The delta of z.
DN_DEVICE float argument_delta(const NormalizeBackwardArgs& a, float x, float delta, int c) {
    const float z = argument_of(a.by, x, c);
    return delta * slope_of(a.activation, z, activated(a.activation, z));
}

// First step of backward: the sums of z's delta, and of its products with x^.
template <class T>
DN_DEVICE void normalize_sums(const NormalizeBackwardArgs& a) {
    const int c = tile_channel();
    float sum = 0, products = 0;
    if (c < a.channels)
        for_chunk(a.pixels, [&](long long p) {
            const float x = load<T>(a.src, p, c), delta = argument_delta(a, x, load<T>(a.delta, p, c), c);
            sum += delta;
            products += delta * normalized(a.by, x, c);
        });
    write_partial(a.partial, a.channels, sum, products);
}

// Second step, one thread a channel: adds to the gradients; the means over the pixels are for the third.
struct NormalizeGradientsArgs {
    const float* partial;
    float *bias_gradients, *scale_gradients;  // scale_gradients null: biases alone
    float *mean_delta, *mean_product;
    const float* unscale;  // factor of the gradients; null: 1
    long long pixels;
    int channels, chunks;
};

DN_DEVICE void normalize_gradients(const NormalizeGradientsArgs& a) {
    const double unscale = a.unscale ? *a.unscale : 1.0f;
    for (long long k = first_index(); k < a.channels; k += index_step()) {
        const int c = static_cast<int>(k);
        const Totals totals = add_partial(a.partial, a.channels, a.chunks, c);
        a.bias_gradients[c] += static_cast<float>(unscale * totals.first);
        if (a.scale_gradients) a.scale_gradients[c] += static_cast<float>(unscale * totals.second);
        a.mean_delta[c] = static_cast<float>(totals.first / static_cast<double>(a.pixels));
        a.mean_product[c] = static_cast<float>(totals.second / static_cast<double>(a.pixels));
    }
}

// Third step: target = the delta of x, or that is added. target may be delta.
template <class T>
DN_DEVICE void normalize_backward(const NormalizeBackwardArgs& a) {
    for (long long k = first_index(); k < a.pixels * a.channels; k += index_step()) {
        const Quotient at = divide(k, a.channels);
        const int c = at.rest;
        const float x = load<T>(a.src, at.quotient, c);
        float delta = argument_delta(a, x, load<T>(a.delta, at.quotient, c), c);
        if (a.by.mean) {
            const float rest = delta - a.mean_delta[c] - normalized(a.by, x, c) * a.mean_product[c];
            delta = a.by.scales[c] * a.by.inverse[c] * rest;
        }
        put<T>(a.target, at.quotient, c, delta, a.add);
    }
}

DN_KERNEL(batch_norm, moments, MomentsArgs)
DN_KERNEL(batch_norm, statistics, StatisticsArgs)
DN_PLAIN_KERNEL(batch_norm, inverse_deviation, InverseArgs)
DN_KERNEL(batch_norm, normalize, NormalizeArgs)
DN_KERNEL(batch_norm, normalize_sums, NormalizeBackwardArgs)
DN_PLAIN_KERNEL(batch_norm, normalize_gradients, NormalizeGradientsArgs)
DN_KERNEL(batch_norm, normalize_backward, NormalizeBackwardArgs)

}  // namespace dn::cuda
