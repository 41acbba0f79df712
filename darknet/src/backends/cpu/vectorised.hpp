// SPDX-License-Identifier: Apache-2.0
// Plain loops, compiled once per instruction set and chosen at run time. The set is the one that isa.hpp allows, so
// that a test can force the loops of a lesser processor.
#pragma once

#include "isa.hpp"

namespace dn::cpu {

#if defined(__x86_64__) && defined(__GNUC__)

template <auto kLoop, class... Args>
__attribute__((target("avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,fma,bmi,bmi2"))) void run_avx512(Args... args) {
    kLoop(args...);
}

template <auto kLoop, class... Args>
__attribute__((target("avx2,fma,bmi,bmi2"))) void run_avx2(Args... args) {
    kLoop(args...);
}

// kLoop(args...), where kLoop is a function marked DN_INLINE.
template <auto kLoop, class... Args>
void vectorised(Args... args) {
    switch (vector_width()) {
        case VectorWidth::avx512:
            return run_avx512<kLoop>(args...);
        case VectorWidth::avx2:
            return run_avx2<kLoop>(args...);
        default:
            return kLoop(args...);
    }
}

#else

template <auto kLoop, class... Args>
void vectorised(Args... args) {
    kLoop(args...);
}

#endif

}  // namespace dn::cpu
