// SPDX-License-Identifier: Apache-2.0
#include "slopes.hpp"

#include "../vector_math.hpp"
#include "../vectorised.hpp"

#define DN_INLINED __attribute__((always_inline))

namespace dn::cpu {
namespace {

DN_INLINE float leaky_slope(float z) { return z > 0 ? 1.0f : 0.1f; }
DN_INLINE float relu_slope(float z) { return z > 0 ? 1.0f : 0.0f; }
DN_INLINE float relu6_slope(float z) { return z > 0 && z < 6.0f ? 1.0f : 0.0f; }
DN_INLINE float hard_mish_slope(float z) { return z > 0 ? 1.0f : z > -2.0f ? z + 1.0f : 0.0f; }

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
            DN_EACH(leaky_slope(v));
        case Activation::relu:
            DN_EACH(relu_slope(v));
        case Activation::relu6:
            DN_EACH(relu6_slope(v));
        case Activation::logistic:
            DN_EACH(logistic_slope(v));
        case Activation::tanh:
            DN_EACH(tanh_slope(v));
        case Activation::swish:
            DN_EACH(swish_slope(v));
        case Activation::mish:
            DN_EACH(mish_slope(v));
        case Activation::hard_mish:
            DN_EACH(hard_mish_slope(v));
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

DN_INLINE void affine_loop(float* dst, const float* x, const float* scale, const float* shift, std::size_t channels) {
    for (std::size_t c = 0; c < channels; ++c) dst[c] = x[c] * scale[c] + shift[c];
}
void affine(float* dst, const float* x, const float* scale, const float* shift, std::size_t channels) {
    vectorised<affine_loop>(dst, x, scale, shift, channels);
}

bool has_cheap_slope(Activation activation) {
    switch (activation) {
        case Activation::linear:
        case Activation::leaky:
        case Activation::relu:
        case Activation::relu6:
        case Activation::hard_mish:
            return true;
        default:
            return false;
    }
}

// loop(slope of an activation)
template <class Loop>
DN_INLINE void with_cheap_slope(Activation activation, const Loop& loop) {
    switch (activation) {
        case Activation::leaky:
            return loop([](float z) DN_INLINED { return leaky_slope(z); });
        case Activation::relu:
            return loop([](float z) DN_INLINED { return relu_slope(z); });
        case Activation::relu6:
            return loop([](float z) DN_INLINED { return relu6_slope(z); });
        case Activation::hard_mish:
            return loop([](float z) DN_INLINED { return hard_mish_slope(z); });
        default:
            return loop([](float) DN_INLINED { return 1.0f; });
    }
}

struct ProductsRow {
    float *sums, *products;
    const float *d, *x, *scale, *shift;
    std::size_t channels;
};

DN_INLINE void add_products_loop(const ProductsRow& row, const CheapSlope& slope) {
    with_cheap_slope(slope.activation, [&](const auto& slope_at) DN_INLINED {
        float* __restrict sums = row.sums, * __restrict products = row.products;
        const float *d = row.d, *x = row.x, *scale = row.scale, *shift = row.shift;
        const float *z_scale = slope.scale, *z_shift = slope.shift;
#pragma omp simd  // too many pointers for the compiler to check that they differ
        for (std::size_t c = 0; c < row.channels; ++c) {
            const float e = d[c] * slope_at(x[c] * z_scale[c] + z_shift[c]);
            sums[c] += e;
            products[c] += e * (x[c] * scale[c] + shift[c]);
        }
    });
}
void add_products(float* sums, float* products, const float* d, const float* x, const float* scale, const float* shift,
                  const CheapSlope& slope, std::size_t channels) {
    vectorised<add_products_loop>(ProductsRow{sums, products, d, x, scale, shift, channels}, slope);
}

struct BlendRow {
    float* d;
    const float *x, *b, *c;
    std::size_t channels;
};

DN_INLINE void blend_loop(const BlendRow& row, const CheapSlope& slope) {
    with_cheap_slope(slope.activation, [&](const auto& slope_at) DN_INLINED {
        float* d = row.d;
        const float *x = row.x, *b = row.b, *c = row.c, *scale = slope.scale, *shift = slope.shift;
#pragma omp simd
        for (std::size_t k = 0; k < row.channels; ++k)
            d[k] = d[k] * slope_at(x[k] * scale[k] + shift[k]) * scale[k] + x[k] * b[k] + c[k];
    });
}
void blend(float* d, const float* x, const float* b, const float* c, const CheapSlope& slope, std::size_t channels) {
    vectorised<blend_loop>(BlendRow{d, x, b, c, channels}, slope);
}

}  // namespace dn::cpu
