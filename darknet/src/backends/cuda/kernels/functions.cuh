// SPDX-License-Identifier: Apache-2.0
// Activation functions and their slopes: the definitions of backends/ref/activations.cpp.
#pragma once

#include "portable.cuh"

namespace dn::cuda {

// In the order of dn::Activation.
enum ActivationCode {
    kLinear,
    kLogistic,
    kLoggy,
    kRelu,
    kRelu6,
    kElu,
    kSelu,
    kGelu,
    kRelie,
    kRamp,
    kLeaky,
    kTanh,
    kPlse,
    kStair,
    kHardtan,
    kLhtan,
    kSwish,
    kMish,
    kHardMish,
    kNormalizeChannels,
    kNormalizeChannelsSoftmax,
    kNormalizeChannelsSoftmaxMaxval
};

#if defined(DN_ACTIVATIONS)
constexpr unsigned kActivations = DN_ACTIVATIONS;
#else
constexpr unsigned kActivations = ~0u;
#endif

constexpr float kSeluScale = 1.0507f, kSeluAlpha = 1.6732f;
constexpr float kGeluLinear = 0.797885f, kGeluCubic = 0.035677f;  // sqrt(2/pi) and 0.044715 of it

DN_DEVICE float logistic(float x) { return 1 / (1 + expf(-x)); }

DN_DEVICE float softplus(float x) {
    constexpr float threshold = 20;
    if (x > threshold) return x;
    if (x < -threshold) return expf(x);
    return log1pf(expf(x));
}

DN_DEVICE float stair(float x) {
    const float below = floorf(x), half = floorf(x / 2);
    return 2 * floorf(below / 2) == below ? half : (x - below) + half;
}

// Folded to false for an activation that is left out.
DN_DEVICE bool is(int activation, ActivationCode code) {
    return (kActivations >> code & 1u) != 0 && activation == code;
}

// f(x) of a pointwise activation: all but kNormalizeChannels*.
DN_DEVICE float activated(int activation, float x) {
    if (is(activation, kLogistic)) return logistic(x);
    if (is(activation, kLoggy)) return 2 * logistic(x) - 1;
    if (is(activation, kRelu)) return x > 0 ? x : 0;
    if (is(activation, kRelu6)) return x < 0 ? 0 : x > 6 ? 6 : x;
    if (is(activation, kElu)) return x >= 0 ? x : expf(x) - 1;
    if (is(activation, kSelu)) return kSeluScale * (x >= 0 ? x : kSeluAlpha * (expf(x) - 1));
    if (is(activation, kGelu)) return 0.5f * x * (1 + tanhf(kGeluLinear * x + kGeluCubic * x * x * x));
    if (is(activation, kRelie)) return x > 0 ? x : 0.01f * x;
    if (is(activation, kRamp)) return (x > 0 ? x : 0) + 0.1f * x;
    if (is(activation, kLeaky)) return x > 0 ? x : 0.1f * x;
    if (is(activation, kTanh)) return 2 / (1 + expf(-2 * x)) - 1;
    if (is(activation, kPlse)) return x < -4 ? 0.01f * (x + 4) : x > 4 ? 0.01f * (x - 4) + 1 : 0.125f * x + 0.5f;
    if (is(activation, kStair)) return stair(x);
    if (is(activation, kHardtan)) return x < -1 ? -1 : x > 1 ? 1 : x;
    if (is(activation, kLhtan)) return x < 0 ? 0.001f * x : x > 1 ? 0.001f * (x - 1) + 1 : x;
    if (is(activation, kSwish)) return x * logistic(x);
    if (is(activation, kMish)) return x * tanhf(softplus(x));
    if (is(activation, kHardMish)) return x > 0 ? x : x > -2 ? x * x / 2 + x : 0;
    return x;
}

DN_DEVICE float gelu_slope(float x) {
    const float t = tanhf(kGeluLinear * x + kGeluCubic * x * x * x);
    return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * (kGeluLinear + 3 * kGeluCubic * x * x);
}

DN_DEVICE float mish_slope(float x) {
    const float sp = softplus(x), t = tanhf(sp);
    return x * (1 - t * t) * (1 - expf(-sp)) + t;
}

// f'(x) of a pointwise activation, given x and y = f(x).
DN_DEVICE float slope_of(int activation, float x, float y) {
    if (is(activation, kLogistic)) return y * (1 - y);
    if (is(activation, kLoggy)) return 2 * ((y + 1) / 2) * (1 - (y + 1) / 2);
    if (is(activation, kRelu)) return y > 0 ? 1 : 0;
    if (is(activation, kRelu6)) return y > 0 && y < 6 ? 1 : 0;
    if (is(activation, kElu)) return y >= 0 ? 1 : y + 1;
    if (is(activation, kSelu)) return y >= 0 ? kSeluScale : y + kSeluScale * kSeluAlpha;
    if (is(activation, kGelu)) return gelu_slope(x);
    if (is(activation, kRelie)) return y > 0 ? 1 : 0.01f;
    if (is(activation, kRamp)) return (y > 0 ? 1 : 0) + 0.1f;
    if (is(activation, kLeaky)) return y > 0 ? 1 : 0.1f;
    if (is(activation, kTanh)) return 1 - y * y;
    if (is(activation, kPlse)) return y < 0 || y > 1 ? 0.01f : 0.125f;
    if (is(activation, kStair)) return floorf(y) == y ? 0 : 1;
    if (is(activation, kHardtan)) return y > -1 && y < 1 ? 1 : 0;
    if (is(activation, kLhtan)) return y > 0 && y < 1 ? 1 : 0.001f;
    if (is(activation, kSwish)) return y + logistic(x) * (1 - y);
    if (is(activation, kMish)) return mish_slope(x);
    if (is(activation, kHardMish)) return x > 0 ? 1 : x > -2 ? x + 1 : 0;
    return 1;
}

}  // namespace dn::cuda
