// SPDX-License-Identifier: Apache-2.0
// Marks functions written with AVX-512 intrinsics; they run only where has_avx512() says so.
#pragma once

#include "isa.hpp"

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

inline bool has_avx512() {
#if defined(DN_HAVE_AVX512)
    return has_native_bf16();
#else
    return false;
#endif
}

}  // namespace dn::cpu
