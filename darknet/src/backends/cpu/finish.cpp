// SPDX-License-Identifier: Apache-2.0
// A general version on staging rows, and one in registers for processors with AVX512-BF16 and the activations of the
// published networks. It is written out by hand: compilers keep divisions and long exponentials that it avoids.
#include "finish.hpp"

#include <algorithm>

#include "avx512.hpp"
#include "rows.hpp"

namespace dn::cpu {
namespace {

void finish_row(float* x, void* dst, const void* residual, std::size_t count, const FinishPixels& job,
                const Finish& finish) {
    if (normalizes_channels(finish.activation))
        normalize_channels(x, count, finish.activation);
    else
        activate(x, count, finish.activation);
    if (finish.adds) {
        float row[kRow];
        load(row, residual, job.residual_type, count);
        add(x, row, count);
        activate(x, count, finish.after);
    }
    store(dst, job.type, x, count);
}

void finish_general(const FinishPixels& job, const Finish& finish) {
    const auto residual_at = [&](std::size_t pixel, std::size_t c) {
        return finish.adds ? at(job.residual, job.residual_type, pixel * job.residual_pitch + c) : nullptr;
    };
    for (std::size_t pixel = 0; pixel < job.pixels; ++pixel)
        for (std::size_t c = 0; c < job.channels; c += kRow)
            finish_row(job.x + pixel * job.channels + c, at(job.dst, job.type, pixel * job.dst_pitch + c),
                       residual_at(pixel, c), std::min(kRow, job.channels - c), job, finish);
}

#if defined(DN_HAVE_AVX512)

// e^x by 2^n * 2^f, |f| <= 1/2. The short polynomial errs by 1e-4, less than bfloat16 rounds; the long one by 2e-7.
template <bool kPrecise>
DN_AVX512 inline __m512 exp_of(__m512 x) {
    const __m512 t = _mm512_mul_ps(x, _mm512_set1_ps(1.44269504f));
    const __m512 n = _mm512_roundscale_ps(t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m512 f = _mm512_sub_ps(t, n);
    __m512 p;
    if constexpr (kPrecise) {
        p = _mm512_set1_ps(1.5403530e-4f);
        p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.3333558e-3f));
        p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(9.6181291e-3f));
        p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(5.5504109e-2f));
        p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(2.4022651e-1f));
    } else {
        p = _mm512_set1_ps(5.5502319e-2f);
        p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(2.4263948e-1f));
    }
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.9314718e-1f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(p, n);
}

// 1 / x to 14 bits, or with a step of Newton's to nearly all.
template <bool kPrecise>
DN_AVX512 inline __m512 inverse(__m512 x) {
    const __m512 r = _mm512_rcp14_ps(x);
    if constexpr (!kPrecise) return r;
    return _mm512_mul_ps(r, _mm512_fnmadd_ps(x, r, _mm512_set1_ps(2.0f)));
}

template <Activation kActivation, bool kPrecise>
DN_AVX512 inline __m512 activated(__m512 x) {
    const __m512 one = _mm512_set1_ps(1.0f), two = _mm512_set1_ps(2.0f);
    if constexpr (kActivation == Activation::leaky) {
        return _mm512_max_ps(_mm512_mul_ps(x, _mm512_set1_ps(0.1f)), x);
    } else if constexpr (kActivation == Activation::mish) {
        // x n/(n + 2) with n = e^2 + 2e; from 20 on it is x, and e must not overflow.
        const __m512 e = exp_of<kPrecise>(_mm512_min_ps(_mm512_set1_ps(20.0f), x));
        const __m512 n = _mm512_mul_ps(e, _mm512_add_ps(e, two));
        return _mm512_mul_ps(_mm512_mul_ps(x, n), inverse<kPrecise>(_mm512_add_ps(n, two)));
    } else if constexpr (kActivation == Activation::swish || kActivation == Activation::logistic) {
        const __m512 e = exp_of<kPrecise>(_mm512_min_ps(_mm512_set1_ps(80.0f), _mm512_sub_ps(_mm512_setzero_ps(), x)));
        const __m512 s = inverse<kPrecise>(_mm512_add_ps(one, e));
        return kActivation == Activation::swish ? _mm512_mul_ps(x, s) : s;
    } else {
        return x;
    }
}

DN_AVX512 inline __m512 load_vector(const void* data, DType type, std::size_t i, __mmask16 mask) {
    if (type == DType::f32) return _mm512_maskz_loadu_ps(mask, static_cast<const float*>(data) + i);
    const __m256i half = _mm256_maskz_loadu_epi16(mask, static_cast<const std::uint16_t*>(data) + i);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

DN_AVX512 inline void store_vector(void* data, DType type, std::size_t i, __m512 x) {
    if (type == DType::f32) return _mm512_storeu_ps(static_cast<float*>(data) + i, x);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(static_cast<std::uint16_t*>(data) + i),
                        (__m256i)_mm512_cvtneps_pbh(x));
}

// The tail of a row; masked stores are too slow for the rest.
DN_AVX512 inline void store_masked(void* data, DType type, std::size_t i, __mmask16 mask, __m512 x) {
    if (type == DType::f32) return _mm512_mask_storeu_ps(static_cast<float*>(data) + i, mask, x);
    _mm256_mask_storeu_epi16(static_cast<std::uint16_t*>(data) + i, mask, (__m256i)_mm512_cvtneps_pbh(x));
}

template <Activation kActivation, DType kType, bool kAdds>
DN_AVX512 inline __m512 finished(const float* x, const void* residual, std::size_t i, __mmask16 mask) {
    const __m512 y = activated<kActivation, kType == DType::f32>(_mm512_maskz_loadu_ps(mask, x + i));
    if constexpr (!kAdds) return y;
    return _mm512_add_ps(y, load_vector(residual, kType, i, mask));
}

template <Activation kActivation, DType kType, bool kAdds>
DN_AVX512 void finish_vectors(const FinishPixels& job) {
    const std::size_t count = job.channels;
    const auto tail = static_cast<__mmask16>((1u << (count % 16)) - 1);
    for (std::size_t pixel = 0; pixel < job.pixels; ++pixel) {
        const float* x = job.x + pixel * count;
        void* dst = at(job.dst, kType, pixel * job.dst_pitch);
        const void* residual = kAdds ? at(job.residual, kType, pixel * job.residual_pitch) : nullptr;
        std::size_t i = 0;
        for (; i + 16 <= count; i += 16)
            store_vector(dst, kType, i, finished<kActivation, kType, kAdds>(x, residual, i, 0xffff));
        if (tail) store_masked(dst, kType, i, tail, finished<kActivation, kType, kAdds>(x, residual, i, tail));
    }
}

template <DType kType, bool kAdds>
bool finish_vectors_of(const FinishPixels& job, Activation activation) {
    switch (activation) {
#define DN_CASE(name)                                        \
    case Activation::name:                                   \
        finish_vectors<Activation::name, kType, kAdds>(job); \
        return true
        DN_CASE(linear);
        DN_CASE(leaky);
        DN_CASE(logistic);
        DN_CASE(mish);
        DN_CASE(swish);
#undef DN_CASE
        default:
            return false;
    }
}

bool finish_fast(const FinishPixels& job, const Finish& finish) {
    if (!has_avx512()) return false;
    if (finish.adds && (job.residual_type != job.type || finish.after != Activation::linear)) return false;
    if (job.type == DType::f32)
        return finish.adds ? finish_vectors_of<DType::f32, true>(job, finish.activation)
                           : finish_vectors_of<DType::f32, false>(job, finish.activation);
    return finish.adds ? finish_vectors_of<DType::bf16, true>(job, finish.activation)
                       : finish_vectors_of<DType::bf16, false>(job, finish.activation);
}

#else

bool finish_fast(const FinishPixels&, const Finish&) { return false; }

#endif

}  // namespace

void finish_pixels(const FinishPixels& pixels, const Finish& finish) {
    FinishPixels job = pixels;
    const bool dense = job.dst_pitch == job.channels && (!finish.adds || job.residual_pitch == job.channels);
    if (dense && !normalizes_channels(finish.activation)) {
        job.channels *= job.pixels;
        job.pixels = 1;
    }
    if (!finish_fast(job, finish)) finish_general(job, finish);
}

}  // namespace dn::cpu
