// SPDX-License-Identifier: Apache-2.0
// Updates of parameters, and parameters as convolutions take them. The operations and their order are those of
// backends/host/train_state.cpp, without fused multiply-add on both sides, so that the bits are equal.
#pragma once

#include "portable.cuh"

namespace dn::cuda {

// NaN stays NaN.
DN_DEVICE float limited(float value, float low, float high) { return value < low ? low : high < value ? high : value; }

// g <- g - decay w; w <- w + step g; g <- momentum g
struct SgdArgs {
    float *weights, *gradients;
    long long count;
    float decay, step, momentum;
    float clip;       // the largest absolute value of a weight; 0: no limit
    bool clamp_step;  // gradients are limited to -1 .. 1
};

DN_DEVICE void sgd(const SgdArgs& a) {
    for (long long k = first_index(); k < a.count; k += index_step()) {
        float delta = a.gradients[k] - a.decay * a.weights[k];
        if (a.clamp_step) delta = limited(delta, -1, 1);
        const float moved = a.weights[k] + a.step * delta;
        a.weights[k] = a.clip > 0 ? limited(moved, -a.clip, a.clip) : moved;
        a.gradients[k] = a.momentum * delta;
    }
}

struct AdamArgs {
    float *weights, *gradients, *first, *second;  // the moments
    long long count;
    float decay, beta1, beta2, rate;
    float first_scale, second_scale;  // 1 / (1 - beta^iteration)
    float epsilon;
    float clip;  // the largest absolute value of a weight; 0: no limit
};

DN_DEVICE void adam(const AdamArgs& a) {
    for (long long k = first_index(); k < a.count; k += index_step()) {
        const float delta = a.gradients[k] - a.decay * a.weights[k];
        const float first = a.beta1 * a.first[k] + (1 - a.beta1) * delta;
        const float second = a.beta2 * a.second[k] + (1 - a.beta2) * delta * delta;
        const float root = sqrtf(second * a.second_scale) + a.epsilon;
        const float moved = a.weights[k] + a.rate * first * a.first_scale / root;
        a.first[k] = first;
        a.second[k] = second;
        a.weights[k] = a.clip > 0 ? limited(moved, -a.clip, a.clip) : moved;
        a.gradients[k] = 0;
    }
}

// average <- alpha average + (1 - alpha) values
struct BlendArgs {
    float* average;
    const float* values;
    long long count;
    float alpha;
};

DN_DEVICE void blend(const BlendArgs& a) {
    for (long long k = first_index(); k < a.count; k += index_step())
        a.average[k] = a.alpha * a.average[k] + (1 - a.alpha) * a.values[k];
}

// *found = 1 when a value is NaN or Inf; else *found stays.
struct FindNonFiniteArgs {
    const float* values;
    long long count;
    int* found;
};

DN_DEVICE void find_non_finite(const FindNonFiniteArgs& a) {
    for (long long k = first_index(); k < a.count; k += index_step())
        if (!is_finite(a.values[k])) *a.found = 1;
}

// Filters: float32 as in a weights file (filters, channels, height, width), and the storage type channels last
// (filters, height, width, channels). `window` is height * width.
struct FiltersArgs {
    float* planes;
    void* packed;
    long long filters;
    int channels, window;
    const float* unscale;  // factor of the gradients; null: 1
};

template <class T>
DN_DEVICE void pack_filters(const FiltersArgs& a) {
    for (long long k = first_index(); k < a.filters * a.channels * a.window; k += index_step()) {
        const Quotient at = divide(k, a.channels), filter = divide(at.quotient, a.window);
        narrow(a.planes[(filter.quotient * a.channels + at.rest) * a.window + filter.rest],
               static_cast<T*>(a.packed) + k);
    }
}

// planes += the packed gradients
template <class T>
DN_DEVICE void add_filter_gradients(const FiltersArgs& a) {
    const float unscale = a.unscale ? *a.unscale : 1;
    for (long long k = first_index(); k < a.filters * a.channels * a.window; k += index_step()) {
        const Quotient at = divide(k, a.channels), filter = divide(at.quotient, a.window);
        a.planes[(filter.quotient * a.channels + at.rest) * a.window + filter.rest] +=
            unscale * widen(static_cast<const T*>(a.packed)[k]);
    }
}

DN_PLAIN_KERNEL(update, sgd, SgdArgs)
DN_PLAIN_KERNEL(update, adam, AdamArgs)
DN_PLAIN_KERNEL(update, blend, BlendArgs)
DN_PLAIN_KERNEL(update, find_non_finite, FindNonFiniteArgs)
DN_KERNEL(update, pack_filters, FiltersArgs)
DN_KERNEL(update, add_filter_gradients, FiltersArgs)

}  // namespace dn::cuda
