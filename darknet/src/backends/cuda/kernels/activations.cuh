// SPDX-License-Identifier: Apache-2.0
// Activations of whole tensors.
#pragma once

#include "functions.cuh"

namespace dn::cuda {

// Pointwise: dst = after(activation(src + bias) + residual). dst may be src or residual.
struct ActivateArgs {
    View src, dst;
    View residual;      // data null: none
    const float* bias;  // by channel; null: none
    long long pixels;
    int channels, activation, after;
};

template <class T>
DN_DEVICE void activate(const ActivateArgs& a) {
    for (long long k = first_index(); k < a.pixels * a.channels; k += index_step()) {
        const Quotient at = divide(k, a.channels);
        float value = load<T>(a.src, at.quotient, at.rest);
        if (a.bias) value += a.bias[at.rest];
        value = activated(a.activation, value);
        if (a.residual.data) value = activated(a.after, value + load<T>(a.residual, at.quotient, at.rest));
        store<T>(a.dst, at.quotient, at.rest, value);
    }
}

// Pointwise: target = delta * f', or added to it. target may be delta.
struct ActivateBackwardArgs {
    View src;  // the function's argument; used by gelu, swish, mish and hard_mish alone, else data may be null
    View dst;  // its result
    View delta, target;
    long long pixels;
    int channels, activation;
    bool add;
};

template <class T>
DN_DEVICE void activate_backward(const ActivateBackwardArgs& a) {
    for (long long k = first_index(); k < a.pixels * a.channels; k += index_step()) {
        const Quotient at = divide(k, a.channels);
        const float x = a.src.data ? load<T>(a.src, at.quotient, at.rest) : 0;
        const float slope = slope_of(a.activation, x, load<T>(a.dst, at.quotient, at.rest));
        put<T>(a.target, at.quotient, at.rest, load<T>(a.delta, at.quotient, at.rest) * slope, a.add);
    }
}

// kNormalizeChannels*: the values of each pixel become non-negative and sum to almost 1. One thread a pixel.
struct NormalizeChannelsArgs {
    View src, dst;  // may be the same
    long long pixels;
    int channels, activation;
};

template <class T>
DN_DEVICE void normalize_channels(const NormalizeChannelsArgs& a) {
    const bool exponential = a.activation != kNormalizeChannels;
    for (long long p = first_index(); p < a.pixels; p += index_step()) {
        float shift = 0, sum = 1e-4f;
        if (a.activation == kNormalizeChannelsSoftmaxMaxval) {
            shift = load<T>(a.src, p, 0);
            for (int c = 1; c < a.channels; ++c) shift = fmaxf(shift, load<T>(a.src, p, c));
        }
        const auto value = [&](int c) {
            const float x = load<T>(a.src, p, c);
            return exponential ? expf(x - shift) : fmaxf(x, 0.0f);
        };
        for (int c = 0; c < a.channels; ++c) sum += value(c);
        for (int c = 0; c < a.channels; ++c) store<T>(a.dst, p, c, value(c) / sum);
    }
}

// Darknet's rule, not the true Jacobian: the deltas of a pixel times the sum of their products with the outputs. It is
// the one rule in which deltas stand twice, so that the scale of the loss has to be taken out once.
struct NormalizeChannelsBackwardArgs {
    View dst;  // the outputs
    View delta, target;
    long long pixels;
    int channels, activation;
    bool add;
    const float* unscale;  // factor of the gradients; null: 1
};

template <class T>
DN_DEVICE void normalize_channels_backward(const NormalizeChannelsBackwardArgs& a) {
    for (long long p = first_index(); p < a.pixels; p += index_step()) {
        float dot = 0;
        for (int c = 0; c < a.channels; ++c) dot += load<T>(a.dst, p, c) * load<T>(a.delta, p, c);
        if (a.unscale) dot *= *a.unscale;
        for (int c = 0; c < a.channels; ++c) {
            const bool scaled = a.activation != kNormalizeChannels || load<T>(a.dst, p, c) > 0;
            put<T>(a.target, p, c, load<T>(a.delta, p, c) * (scaled ? dot : 1), a.add);
        }
    }
}

DN_KERNEL(activations, activate, ActivateArgs)
DN_KERNEL(activations, activate_backward, ActivateBackwardArgs)
DN_KERNEL(activations, normalize_channels, NormalizeChannelsArgs)
DN_KERNEL(activations, normalize_channels_backward, NormalizeChannelsBackwardArgs)

}  // namespace dn::cuda
