// SPDX-License-Identifier: Apache-2.0
// Arithmetic that vectorises, for use inside the loops that vectorised() compiles once per instruction set.
// No calls, no branches that selection cannot replace.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#define DN_INLINE static inline __attribute__((always_inline))

namespace dn::cpu {

DN_INLINE std::uint32_t bits_of(float x) {
    std::uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

DN_INLINE float float_of(std::uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

// To the nearest, ties to even; NaN stays NaN.
DN_INLINE std::uint16_t bf16_of(float x) {
    const std::uint32_t bits = bits_of(x);
    const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const std::uint32_t quiet = (bits >> 16) | 0x40u;
    return static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

// e^x to 2 ulp: 2^n * e^f with |f| <= ln2/2 and a polynomial for e^f (coefficients of Cephes' expf).
DN_INLINE float exp_of(float x) {
    x = x > 88.0f ? 88.0f : x;
    x = x < -87.0f ? -87.0f : x;
    constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer in the low bits
    const float shifted = x * 1.44269504f + kRound;
    const float n = shifted - kRound;
    const float f = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * f + 1.3981999507e-3f;
    p = p * f + 8.3334519073e-3f;
    p = p * f + 4.1665795894e-2f;
    p = p * f + 1.6666665459e-1f;
    p = p * f + 5.0000001201e-1f;
    p = p * (f * f) + f + 1.0f;
    return float_of(bits_of(p) + (bits_of(shifted) << 23));
}

DN_INLINE float logistic_of(float x) { return 1.0f / (1.0f + exp_of(-x)); }

// x tanh(ln(1 + e^x)) = x n/(n + 2) with n = e^2 + 2e; above 20 it is x.
DN_INLINE float mish_of(float x) {
    const float e = exp_of(x > 20.0f ? 20.0f : x);
    const float n = e * (e + 2.0f);
    return x * (n / (n + 2.0f));
}

DN_INLINE float elu_of(float x) { return x >= 0 ? x : exp_of(x) - 1.0f; }

DN_INLINE float stair_of(float x) {
    const float n = std::floor(x), half = std::floor(x * 0.5f);
    return n - 2.0f * std::floor(n * 0.5f) == 0.0f ? half : (x - n) + half;
}

}  // namespace dn::cpu
