// SPDX-License-Identifier: Apache-2.0
// Each function is compiled once per instruction set; the loader picks the best that the processor has. The loops
// are plain, for the compiler to vectorise, and must stay free of calls and of branches that select cannot replace.
#include "rows.hpp"

#include "vector_math.hpp"
#include "vectorised.hpp"

namespace dn::cpu {
bool normalizes_channels(Activation activation) {
    return activation == Activation::normalize_channels || activation == Activation::normalize_channels_softmax ||
           activation == Activation::normalize_channels_softmax_maxval;
}

DN_INLINE void load_bf16_loop(float* dst, const std::uint16_t* src, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) dst[i] = float_of(static_cast<std::uint32_t>(src[i]) << 16);
}
void load_bf16(float* dst, const std::uint16_t* src, std::size_t count) { vectorised<load_bf16_loop>(dst, src, count); }

DN_INLINE void store_bf16_loop(std::uint16_t* dst, const float* src, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) dst[i] = bf16_of(src[i]);
}
void store_bf16(std::uint16_t* dst, const float* src, std::size_t count) {
    vectorised<store_bf16_loop>(dst, src, count);
}

DN_INLINE void round_to_bf16_loop(float* x, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) x[i] = float_of(static_cast<std::uint32_t>(bf16_of(x[i])) << 16);
}
void round_to_bf16(float* x, std::size_t count) { vectorised<round_to_bf16_loop>(x, count); }

void load(float* dst, const void* src, DType type, std::size_t count) {
    if (type == DType::bf16) return load_bf16(dst, static_cast<const std::uint16_t*>(src), count);
    std::memcpy(dst, src, count * sizeof(float));
}

void store(void* dst, DType type, const float* src, std::size_t count) {
    if (type == DType::bf16) return store_bf16(static_cast<std::uint16_t*>(dst), src, count);
    std::memcpy(dst, src, count * sizeof(float));
}

#define DN_EACH(expression)                   \
    for (std::size_t i = 0; i < count; ++i) { \
        const float v = x[i];                 \
        x[i] = (expression);                  \
    }                                         \
    return

DN_INLINE void activate_loop(float* x, std::size_t count, Activation activation) {
    switch (activation) {
        case Activation::linear:
            return;
        case Activation::logistic:
            DN_EACH(logistic_of(v));
        case Activation::loggy:
            DN_EACH(2.0f * logistic_of(v) - 1.0f);
        case Activation::relu:
            DN_EACH(v > 0 ? v : 0.0f);
        case Activation::relu6:
            DN_EACH(v > 6.0f ? 6.0f : v > 0 ? v : 0.0f);
        case Activation::elu:
            DN_EACH(elu_of(v));
        case Activation::selu:
            DN_EACH(v >= 0 ? 1.0507f * v : 1.0507f * 1.6732f * (exp_of(v) - 1.0f));
        case Activation::gelu:
            DN_EACH(v * logistic_of(2.0f * (0.797885f * v + 0.035677f * v * v * v)));
        case Activation::relie:
            DN_EACH(v > 0 ? v : 0.01f * v);
        case Activation::ramp:
            DN_EACH(v > 0 ? 1.1f * v : 0.1f * v);
        case Activation::leaky:
            DN_EACH(v > 0 ? v : 0.1f * v);
        case Activation::tanh:
            DN_EACH(2.0f * logistic_of(2.0f * v) - 1.0f);
        case Activation::plse:
            DN_EACH(v < -4.0f ? 0.01f * (v + 4.0f) : v > 4.0f ? 0.01f * (v - 4.0f) + 1.0f : 0.125f * v + 0.5f);
        case Activation::stair:
            DN_EACH(stair_of(v));
        case Activation::hardtan:
            DN_EACH(v < -1.0f ? -1.0f : v > 1.0f ? 1.0f : v);
        case Activation::lhtan:
            DN_EACH(v < 0 ? 0.001f * v : v > 1.0f ? 0.001f * (v - 1.0f) + 1.0f : v);
        case Activation::swish:
            DN_EACH(v * logistic_of(v));
        case Activation::mish:
            DN_EACH(mish_of(v));
        case Activation::hard_mish:
            DN_EACH(v > 0 ? v : v > -2.0f ? v * v * 0.5f + v : 0.0f);
        case Activation::normalize_channels:
        case Activation::normalize_channels_softmax:
        case Activation::normalize_channels_softmax_maxval:
            return;  // see normalize_channels()
    }
}
void activate(float* x, std::size_t count, Activation activation) { vectorised<activate_loop>(x, count, activation); }

#undef DN_EACH

DN_INLINE void add_loop(float* x, const float* y, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) x[i] += y[i];
}
void add(float* x, const float* y, std::size_t count) { vectorised<add_loop>(x, y, count); }

DN_INLINE void multiply_loop(float* x, const float* y, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) x[i] *= y[i];
}
void multiply(float* x, const float* y, std::size_t count) { vectorised<multiply_loop>(x, y, count); }

DN_INLINE void scale_loop(float* x, float factor, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) x[i] *= factor;
}
void scale(float* x, float factor, std::size_t count) { vectorised<scale_loop>(x, factor, count); }

// Vectors of 64 bytes, and of 32: of selections between longer ones than the registers are, GCC makes loops over
// values.
using Floats16 = float __attribute__((vector_size(64)));
using Floats8 = float __attribute__((vector_size(32)));
using Shorts32 = std::int16_t __attribute__((vector_size(64)));
using Shorts16 = std::int16_t __attribute__((vector_size(32)));

template <class Vector>
constexpr std::size_t kLanesOf = sizeof(Vector) / sizeof(Vector{}[0]);

template <class Vector>
DN_INLINE void load_vector(Vector& v, const void* src, std::size_t index) {
    std::memcpy(&v, static_cast<const char*>(src) + index * sizeof(v[0]), sizeof v);
}

// bfloat16 as integers that compare as the numbers do; its own inverse.
template <class T>
DN_INLINE void order(T& v) {
    v ^= (v >> 15) & 0x7fff;
}

template <class Vector>
DN_INLINE void maximum_f32_loop(float* dst, const void* const* sources, int source_count, std::size_t count) {
    std::size_t i = 0;
    for (; i + kLanesOf<Vector> <= count; i += kLanesOf<Vector>) {
        Vector best, next;
        load_vector(best, sources[0], i);
        for (int s = 1; s < source_count; ++s) {
            load_vector(next, sources[s], i);
            best = next > best ? next : best;
        }
        std::memcpy(dst + i, &best, sizeof best);
    }
    for (; i < count; ++i) {
        float best = static_cast<const float*>(sources[0])[i];
        for (int s = 1; s < source_count; ++s) {
            const float next = static_cast<const float*>(sources[s])[i];
            best = next > best ? next : best;
        }
        dst[i] = best;
    }
}
void maximum_f32(float* dst, const void* const* sources, int source_count, std::size_t count) {
    if (vector_width() == VectorWidth::avx512)
        return vectorised<maximum_f32_loop<Floats16>>(dst, sources, source_count, count);
    vectorised<maximum_f32_loop<Floats8>>(dst, sources, source_count, count);
}

template <class Vector>
DN_INLINE void maximum_bf16_loop(std::int16_t* dst, const void* const* sources, int source_count, std::size_t count) {
    std::size_t i = 0;
    for (; i + kLanesOf<Vector> <= count; i += kLanesOf<Vector>) {
        Vector best, next;
        load_vector(best, sources[0], i);
        order(best);
        for (int s = 1; s < source_count; ++s) {
            load_vector(next, sources[s], i);
            order(next);
            best = next > best ? next : best;
        }
        order(best);
        std::memcpy(dst + i, &best, sizeof best);
    }
    for (; i < count; ++i) {
        std::int16_t best = static_cast<const std::int16_t*>(sources[0])[i];
        order(best);
        for (int s = 1; s < source_count; ++s) {
            std::int16_t next = static_cast<const std::int16_t*>(sources[s])[i];
            order(next);
            best = next > best ? next : best;
        }
        order(best);
        dst[i] = best;
    }
}
void maximum_bf16(std::int16_t* dst, const void* const* sources, int source_count, std::size_t count) {
    if (vector_width() == VectorWidth::avx512)
        return vectorised<maximum_bf16_loop<Shorts32>>(dst, sources, source_count, count);
    vectorised<maximum_bf16_loop<Shorts16>>(dst, sources, source_count, count);
}

void maximum(void* dst, const void* const* sources, int source_count, DType type, std::size_t count) {
    if (type == DType::bf16) return maximum_bf16(static_cast<std::int16_t*>(dst), sources, source_count, count);
    maximum_f32(static_cast<float*>(dst), sources, source_count, count);
}

DN_INLINE void add_scaled_loop(float* x, const float* y, const float* factors, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) x[i] += y[i] * factors[i];
}
void add_scaled(float* x, const float* y, const float* factors, std::size_t count) {
    vectorised<add_scaled_loop>(x, y, factors, count);
}

DN_INLINE float float_at(const float* p) { return *p; }
DN_INLINE float float_at(const std::uint16_t* p) { return float_of(static_cast<std::uint32_t>(*p) << 16); }
DN_INLINE void put(float* p, float x) { *p = x; }
DN_INLINE void put(std::uint16_t* p, float x) { *p = bf16_of(x); }

template <class T>
DN_INLINE void add_pixels_of(float* sum, const T* src, std::size_t pitch, std::size_t pixels, std::size_t channels) {
    for (std::size_t pixel = 0; pixel < pixels; ++pixel, src += pitch)
        for (std::size_t c = 0; c < channels; ++c) sum[c] += float_at(src + c);
}

DN_INLINE void add_pixels_loop(float* sum, const void* src, DType type, std::size_t pitch, std::size_t pixels,
                               std::size_t channels) {
    if (type == DType::f32)
        add_pixels_of(sum, static_cast<const float*>(src), pitch, pixels, channels);
    else
        add_pixels_of(sum, static_cast<const std::uint16_t*>(src), pitch, pixels, channels);
}
void add_pixels(float* sum, const void* src, DType type, std::size_t pitch, std::size_t pixels, std::size_t channels) {
    vectorised<add_pixels_loop>(sum, src, type, pitch, pixels, channels);
}

template <class T>
DN_INLINE void scale_pixels_of(T* dst, std::size_t dst_pitch, const T* src, std::size_t src_pitch, const float* factors,
                               std::size_t pixels, std::size_t channels) {
    for (std::size_t pixel = 0; pixel < pixels; ++pixel, dst += dst_pitch, src += src_pitch)
        for (std::size_t c = 0; c < channels; ++c) put(dst + c, float_at(src + c) * factors[c]);
}

DN_INLINE void scale_pixels_loop(void* dst, std::size_t dst_pitch, const void* src, std::size_t src_pitch, DType type,
                                 const float* factors, std::size_t pixels, std::size_t channels) {
    if (type == DType::f32)
        scale_pixels_of(static_cast<float*>(dst), dst_pitch, static_cast<const float*>(src), src_pitch, factors, pixels,
                        channels);
    else
        scale_pixels_of(static_cast<std::uint16_t*>(dst), dst_pitch, static_cast<const std::uint16_t*>(src), src_pitch,
                        factors, pixels, channels);
}
void scale_pixels(void* dst, std::size_t dst_pitch, const void* src, std::size_t src_pitch, DType type,
                  const float* factors, std::size_t pixels, std::size_t channels) {
    vectorised<scale_pixels_loop>(dst, dst_pitch, src, src_pitch, type, factors, pixels, channels);
}

DN_INLINE void normalize_channels_loop(float* x, std::size_t count, Activation activation) {
    float peak = 0, sum = 1e-4f;
    if (activation == Activation::normalize_channels_softmax_maxval) {
        peak = x[0];
        for (std::size_t i = 1; i < count; ++i) peak = x[i] > peak ? x[i] : peak;
    }
    if (activation == Activation::normalize_channels)
        for (std::size_t i = 0; i < count; ++i) x[i] = x[i] > 0 ? x[i] : 0.0f;
    else
        for (std::size_t i = 0; i < count; ++i) x[i] = exp_of(x[i] - peak);
    for (std::size_t i = 0; i < count; ++i) sum += x[i];
    for (std::size_t i = 0; i < count; ++i) x[i] /= sum;
}
void normalize_channels(float* x, std::size_t count, Activation activation) {
    vectorised<normalize_channels_loop>(x, count, activation);
}

// Rows are too short for memcpy's own preparations.
DN_INLINE void copy_rows_loop(void* dst, std::size_t dst_pitch, const void* src, std::size_t src_pitch,
                              std::size_t size, std::size_t rows) {
    auto* to = static_cast<char*>(dst);
    auto* from = static_cast<const char*>(src);
    for (std::size_t row = 0; row < rows; ++row, to += dst_pitch, from += src_pitch) {
        std::size_t i = 0;
        for (; i + 64 <= size; i += 64) {
            Shorts32 v;
            std::memcpy(&v, from + i, sizeof v);
            std::memcpy(to + i, &v, sizeof v);
        }
        if (i < size) std::memcpy(to + i, from + i, size - i);
    }
}
void copy_rows(void* dst, std::size_t dst_pitch, const void* src, std::size_t src_pitch, std::size_t size,
               std::size_t rows) {
    vectorised<copy_rows_loop>(dst, dst_pitch, src, src_pitch, size, rows);
}

DN_INLINE void add_rows_loop(float* to, std::size_t to_pitch, const float* from, std::size_t from_pitch,
                             std::size_t count, std::size_t rows) {
    for (std::size_t row = 0; row < rows; ++row, to += to_pitch, from += from_pitch)
        for (std::size_t i = 0; i < count; ++i) to[i] += from[i];
}
void add_rows(float* to, std::size_t to_pitch, const float* from, std::size_t from_pitch, std::size_t count,
              std::size_t rows) {
    vectorised<add_rows_loop>(to, to_pitch, from, from_pitch, count, rows);
}

DN_INLINE void interleave_three_loop(float* dst, const float* src, std::size_t plane, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        dst[3 * i] = src[i];
        dst[3 * i + 1] = src[plane + i];
        dst[3 * i + 2] = src[2 * plane + i];
    }
}
void interleave_three(float* dst, const float* src, std::size_t plane, std::size_t count) {
    vectorised<interleave_three_loop>(dst, src, plane, count);
}

DN_INLINE void transpose_loop(float* dst, std::size_t dst_pitch, const float* src, std::size_t src_pitch, int rows,
                              int cols) {
    constexpr int kTile = 16;
    for (int r0 = 0; r0 < rows; r0 += kTile)
        for (int c0 = 0; c0 < cols; c0 += kTile)
            for (int c = c0; c < cols && c < c0 + kTile; ++c)
                for (int r = r0; r < rows && r < r0 + kTile; ++r) dst[c * dst_pitch + r] = src[r * src_pitch + c];
}
void transpose(float* dst, std::size_t dst_pitch, const float* src, std::size_t src_pitch, int rows, int cols) {
    vectorised<transpose_loop>(dst, dst_pitch, src, src_pitch, rows, cols);
}

}  // namespace dn::cpu
