// SPDX-License-Identifier: Apache-2.0
// Marks functions written with AVX-512 intrinsics; they run only where the processor has been asked for them.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__)
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12 on its own intrinsics
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>
#define DN_HAVE_AVX512
#define DN_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#endif

namespace dn::cpu {

// Whether this processor can run them.
inline bool has_avx512() {
#if defined(DN_HAVE_AVX512)
    static const bool supported = __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512dq");
    return supported;
#else
    return false;
#endif
}

}  // namespace dn::cpu
