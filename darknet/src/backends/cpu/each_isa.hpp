// SPDX-License-Identifier: Apache-2.0
// Compiles the file DN_LOOPS once per instruction set, each time in a namespace of its own (`baseline`, `avx2`,
// `avx512`) and behind vectors.inl, which defines the vector type V there. So a loop is written once for every width.
// To be included last: what DN_LOOPS needs is included before, for no instruction set in particular.
//
// There is no include guard: each .cpp file includes it once. It then defines a macro DN_LOOPS_OF(isa), the initializer
// of a structure of that namespace's functions and numbers, and DN_RETURN_LOOPS(Structure) returns that of
// vector_width().
// clang-format off
#if defined(__x86_64__) && defined(__GNUC__)
#define DN_HAVE_X86_VECTORS

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,bmi,bmi2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,bmi,bmi2")
#endif
#define DN_LANES 8
#define DN_REGISTERS 16
namespace dn::cpu::avx2 {
#include "vectors.inl"
#include DN_LOOPS
}  // namespace dn::cpu::avx2
#undef DN_LANES
#undef DN_REGISTERS
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,fma,bmi,bmi2"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,fma,bmi,bmi2")
#endif
#define DN_LANES 16
#define DN_REGISTERS 32
namespace dn::cpu::avx512 {
#include "vectors.inl"
#include DN_LOOPS
}  // namespace dn::cpu::avx512
#undef DN_LANES
#undef DN_REGISTERS
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#define DN_RETURN_LOOPS(Structure)                                            \
    static constexpr Structure of_baseline DN_LOOPS_OF(baseline);             \
    static constexpr Structure of_avx2 DN_LOOPS_OF(avx2);                     \
    static constexpr Structure of_avx512 DN_LOOPS_OF(avx512);                 \
    if (vector_width() == VectorWidth::avx512) return of_avx512;              \
    return vector_width() == VectorWidth::avx2 ? of_avx2 : of_baseline;
#else
#define DN_RETURN_LOOPS(Structure)                                            \
    static constexpr Structure of_baseline DN_LOOPS_OF(baseline);             \
    return of_baseline;
#endif

#define DN_LANES 4
#define DN_REGISTERS 16
namespace dn::cpu::baseline {
#include "vectors.inl"
#include DN_LOOPS
}  // namespace dn::cpu::baseline
#undef DN_LANES
#undef DN_REGISTERS
// clang-format on
