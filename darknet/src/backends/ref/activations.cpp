// SPDX-License-Identifier: Apache-2.0
#include "activations.hpp"

#include <algorithm>
#include <cmath>

namespace dn::ref {
namespace {

constexpr float kSeluScale = 1.0507f, kSeluAlpha = 1.6732f;
constexpr float kGeluLinear = 0.797885f, kGeluCubic = 0.035677f;  // sqrt(2/pi) and 0.044715 of it
constexpr float kNormalizeEps = 1e-4f;

float softplus(float x) {
    constexpr float threshold = 20;
    if (x > threshold) return x;
    if (x < -threshold) return std::exp(x);
    return std::log1p(std::exp(x));
}

float stair(float x) {
    const float floor = std::floor(x);
    const float half = std::floor(x / 2);
    return std::fmod(floor, 2.0f) == 0 ? half : (x - floor) + half;
}

float gelu_slope(float x) {
    const float t = std::tanh(kGeluLinear * x + kGeluCubic * x * x * x);
    return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * (kGeluLinear + 3 * kGeluCubic * x * x);
}

float mish_slope(float x) {
    const float sp = softplus(x), t = std::tanh(sp);
    return x * (1 - t * t) * (1 - std::exp(-sp)) + t;
}

bool across_channels(Activation activation) {
    return activation == Activation::normalize_channels || activation == Activation::normalize_channels_softmax ||
           activation == Activation::normalize_channels_softmax_maxval;
}

// One pixel: c values, `step` apart, become non-negative and sum to almost 1.
void normalize_channels(Activation activation, float* x, int channels, std::size_t step) {
    float shift = 0;
    if (activation == Activation::normalize_channels_softmax_maxval) {
        shift = x[0];
        for (int c = 1; c < channels; ++c) shift = std::max(shift, x[c * step]);
    }
    float sum = kNormalizeEps;
    for (int c = 0; c < channels; ++c) {
        float& value = x[c * step];
        value = activation == Activation::normalize_channels ? std::max(value, 0.0f) : std::exp(value - shift);
        sum += value;
    }
    for (int c = 0; c < channels; ++c) x[c * step] /= sum;
}

void multiply_channels_slope(Activation activation, const float* y, float* delta, int channels, std::size_t step) {
    float dot = 0;
    for (int c = 0; c < channels; ++c) dot += y[c * step] * delta[c * step];
    for (int c = 0; c < channels; ++c)
        if (activation != Activation::normalize_channels || y[c * step] > 0) delta[c * step] *= dot;
}

}  // namespace

float logistic(float x) { return 1 / (1 + std::exp(-x)); }

float activate(Activation activation, float x) {
    switch (activation) {
        case Activation::linear:
            return x;
        case Activation::logistic:
            return logistic(x);
        case Activation::loggy:
            return 2 * logistic(x) - 1;
        case Activation::relu:
            return x > 0 ? x : 0;
        case Activation::relu6:
            return std::min(std::max(x, 0.0f), 6.0f);  // Darknet's CPU build gives 0: a defect
        case Activation::elu:
            return x >= 0 ? x : std::exp(x) - 1;
        case Activation::selu:
            return kSeluScale * (x >= 0 ? x : kSeluAlpha * (std::exp(x) - 1));
        case Activation::gelu:
            return 0.5f * x * (1 + std::tanh(kGeluLinear * x + kGeluCubic * x * x * x));
        case Activation::relie:
            return x > 0 ? x : 0.01f * x;
        case Activation::ramp:
            return (x > 0 ? x : 0) + 0.1f * x;
        case Activation::leaky:
            return x > 0 ? x : 0.1f * x;
        case Activation::tanh:
            return 2 / (1 + std::exp(-2 * x)) - 1;
        case Activation::plse:
            return x < -4 ? 0.01f * (x + 4) : x > 4 ? 0.01f * (x - 4) + 1 : 0.125f * x + 0.5f;
        case Activation::stair:
            return stair(x);
        case Activation::hardtan:
            return std::min(std::max(x, -1.0f), 1.0f);
        case Activation::lhtan:
            return x < 0 ? 0.001f * x : x > 1 ? 0.001f * (x - 1) + 1 : x;
        case Activation::swish:
            return x * logistic(x);
        case Activation::mish:
            return x * std::tanh(softplus(x));
        case Activation::hard_mish:
            return x > 0 ? x : x > -2 ? x * x / 2 + x : 0;
        case Activation::normalize_channels:
        case Activation::normalize_channels_softmax:
        case Activation::normalize_channels_softmax_maxval:
            break;
    }
    return x;
}

void activate(Activation activation, float* x, int n, Shape shape) {
    if (!across_channels(activation)) {
        const std::size_t count = n * shape.size();
        for (std::size_t k = 0; k < count; ++k) x[k] = activate(activation, x[k]);
        return;
    }
    const std::size_t pixels = std::size_t{1} * shape.h * shape.w;
    for (int i = 0; i < n; ++i)
        for (std::size_t p = 0; p < pixels; ++p)
            normalize_channels(activation, x + i * shape.size() + p, shape.c, pixels);
}

float slope(Activation activation, float x, float y) {
    switch (activation) {
        case Activation::linear:
            return 1;
        case Activation::logistic:
            return y * (1 - y);
        case Activation::loggy:
            return 2 * ((y + 1) / 2) * (1 - (y + 1) / 2);
        case Activation::relu:
            return y > 0 ? 1 : 0;
        case Activation::relu6:
            return y > 0 && y < 6 ? 1 : 0;
        case Activation::elu:
            return y >= 0 ? 1 : y + 1;
        case Activation::selu:
            return y >= 0 ? kSeluScale : y + kSeluScale * kSeluAlpha;
        case Activation::gelu:
            return gelu_slope(x);  // Darknet puts y where x belongs: a defect
        case Activation::relie:
            return y > 0 ? 1 : 0.01f;
        case Activation::ramp:
            return (y > 0 ? 1 : 0) + 0.1f;
        case Activation::leaky:
            return y > 0 ? 1 : 0.1f;
        case Activation::tanh:
            return 1 - y * y;
        case Activation::plse:
            return y < 0 || y > 1 ? 0.01f : 0.125f;
        case Activation::stair:
            return std::floor(y) == y ? 0 : 1;
        case Activation::hardtan:
            return y > -1 && y < 1 ? 1 : 0;
        case Activation::lhtan:
            return y > 0 && y < 1 ? 1 : 0.001f;
        case Activation::swish:
            return y + logistic(x) * (1 - y);
        case Activation::mish:
            return mish_slope(x);
        case Activation::hard_mish:
            return x > 0 ? 1 : x > -2 ? x + 1 : 0;
        case Activation::normalize_channels:
        case Activation::normalize_channels_softmax:
        case Activation::normalize_channels_softmax_maxval:
            break;
    }
    return 1;
}

bool slope_needs_input(Activation activation) {
    return activation == Activation::gelu || activation == Activation::swish || activation == Activation::mish ||
           activation == Activation::hard_mish;
}

void multiply_slope(Activation activation, const float* x, const float* y, float* delta, int n, Shape shape) {
    if (!across_channels(activation)) {
        const bool keeps_input = slope_needs_input(activation);
        const std::size_t count = n * shape.size();
        for (std::size_t k = 0; k < count; ++k) delta[k] *= slope(activation, keeps_input ? x[k] : 0, y[k]);
        return;
    }
    const std::size_t pixels = std::size_t{1} * shape.h * shape.w;
    for (int i = 0; i < n; ++i)
        for (std::size_t p = 0; p < pixels; ++p) {
            const std::size_t at = i * shape.size() + p;
            multiply_channels_slope(activation, y + at, delta + at, shape.c, pixels);
        }
}

}  // namespace dn::ref
