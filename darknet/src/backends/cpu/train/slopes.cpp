// SPDX-License-Identifier: Apache-2.0
#include "slopes.hpp"

#include "../vector_math.hpp"
#include "../vectorised.hpp"

namespace dn::cpu {
namespace {

// d/dz of z tanh(ln(1 + e^z)): with n = e^2 + 2e, tanh = n/(n + 2).
DN_INLINE float mish_slope(float z) {
    const float e = exp_of(z > 20.0f ? 20.0f : z);
    const float n = e * (e + 2.0f), t = n / (n + 2.0f);
    return z * (1.0f - t * t) * (e / (1.0f + e)) + t;
}

DN_INLINE float swish_slope(float z) {
    const float s = logistic_of(z);
    return s * (1.0f + z * (1.0f - s));
}

DN_INLINE float logistic_slope(float z) {
    const float s = logistic_of(z);
    return s * (1.0f - s);
}

DN_INLINE float tanh_slope(float z) {
    const float t = 2.0f * logistic_of(2.0f * z) - 1.0f;
    return 1.0f - t * t;
}

}  // namespace

bool has_slope(Activation activation) {
    switch (activation) {
        case Activation::linear:
        case Activation::leaky:
        case Activation::relu:
        case Activation::relu6:
        case Activation::logistic:
        case Activation::tanh:
        case Activation::swish:
        case Activation::mish:
        case Activation::hard_mish:
            return true;
        default:
            return false;
    }
}

#define DN_EACH(expression)                   \
    for (std::size_t i = 0; i < count; ++i) { \
        const float v = z[i];                 \
        delta[i] *= (expression);             \
    }                                         \
    return

DN_INLINE void multiply_slope_loop(float* delta, const float* z, std::size_t count, Activation activation) {
    switch (activation) {
        case Activation::leaky:
            DN_EACH(v > 0 ? 1.0f : 0.1f);
        case Activation::relu:
            DN_EACH(v > 0 ? 1.0f : 0.0f);
        case Activation::relu6:
            DN_EACH(v > 0 && v < 6.0f ? 1.0f : 0.0f);
        case Activation::logistic:
            DN_EACH(logistic_slope(v));
        case Activation::tanh:
            DN_EACH(tanh_slope(v));
        case Activation::swish:
            DN_EACH(swish_slope(v));
        case Activation::mish:
            DN_EACH(mish_slope(v));
        case Activation::hard_mish:
            DN_EACH(v > 0 ? 1.0f : v > -2.0f ? v + 1.0f : 0.0f);
        default:
            return;
    }
}
void multiply_slope(float* delta, const float* z, std::size_t count, Activation activation) {
    vectorised<multiply_slope_loop>(delta, z, count, activation);
}

#undef DN_EACH

DN_INLINE void add_moments_loop(float* sums, float* squares, const float* x, const float* centre,
                                std::size_t channels) {
    for (std::size_t c = 0; c < channels; ++c) {
        const float d = x[c] - centre[c];
        sums[c] += d;
        squares[c] += d * d;
    }
}
void add_moments(float* sums, float* squares, const float* x, const float* centre, std::size_t channels) {
    vectorised<add_moments_loop>(sums, squares, x, centre, channels);
}

DN_INLINE void add_products_loop(float* sums, float* products, const float* d, const float* x, const float* scale,
                                 const float* shift, std::size_t channels) {
    for (std::size_t c = 0; c < channels; ++c) {
        sums[c] += d[c];
        products[c] += d[c] * (x[c] * scale[c] + shift[c]);
    }
}
void add_products(float* sums, float* products, const float* d, const float* x, const float* scale, const float* shift,
                  std::size_t channels) {
    vectorised<add_products_loop>(sums, products, d, x, scale, shift, channels);
}

DN_INLINE void affine_loop(float* dst, const float* x, const float* scale, const float* shift, std::size_t channels) {
    for (std::size_t c = 0; c < channels; ++c) dst[c] = x[c] * scale[c] + shift[c];
}
void affine(float* dst, const float* x, const float* scale, const float* shift, std::size_t channels) {
    vectorised<affine_loop>(dst, x, scale, shift, channels);
}

DN_INLINE void blend_loop(float* d, const float* x, const float* a, const float* b, const float* c,
                          std::size_t channels) {
    for (std::size_t k = 0; k < channels; ++k) d[k] = d[k] * a[k] + x[k] * b[k] + c[k];
}
void blend(float* d, const float* x, const float* a, const float* b, const float* c, std::size_t channels) {
    vectorised<blend_loop>(d, x, a, b, c, channels);
}

}  // namespace dn::cpu
