// SPDX-License-Identifier: Apache-2.0
#include "isa.hpp"

#include <dnnl.h>

namespace dn::cpu {
namespace {

// Each set's value contains the bits of those it extends.
bool includes(dnnl_cpu_isa_t isa) { return (dnnl_get_effective_cpu_isa() & isa) == isa; }

#if defined(__x86_64__) && defined(__GNUC__)
// The features that vectorised.hpp compiles for.
VectorWidth widest_vectors() {
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                      __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    if (!avx2 || !includes(dnnl_cpu_isa_avx2)) return VectorWidth::baseline;
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512vl");
    return avx512 && includes(dnnl_cpu_isa_avx512_core) ? VectorWidth::avx512 : VectorWidth::avx2;
}
#else
VectorWidth widest_vectors() { return VectorWidth::baseline; }
#endif

}  // namespace

VectorWidth vector_width() {
    static const VectorWidth width = widest_vectors();
    return width;
}

const char* vectors_name() {
    switch (vector_width()) {
        case VectorWidth::avx512:
            return "avx512";
        case VectorWidth::avx2:
            return "avx2";
        default:
            return "baseline";
    }
}

bool has_native_bf16() {
    static const bool native = includes(dnnl_cpu_isa_avx512_core_bf16);
    return native;
}

bool has_bf16_primitives() {
    static const bool found = includes(dnnl_cpu_isa_avx512_core);
    return found;
}

DType multiplied_as(DType type) { return type == DType::bf16 && !has_bf16_primitives() ? DType::f32 : type; }

std::string isa_name() {
    static constexpr struct {
        dnnl_cpu_isa_t isa;
        const char* name;
    } kNames[] = {
        {dnnl_cpu_isa_avx512_core_amx_fp16, "avx512_core_amx_fp16"},
        {dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx"},
        {dnnl_cpu_isa_avx512_core_fp16, "avx512_core_fp16"},
        {dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"},
        {dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni"},
        {dnnl_cpu_isa_avx512_core, "avx512_core"},
        {dnnl_cpu_isa_avx2_vnni_2, "avx2_vnni_2"},
        {dnnl_cpu_isa_avx2_vnni, "avx2_vnni"},
        {dnnl_cpu_isa_avx2, "avx2"},
        {dnnl_cpu_isa_avx, "avx"},
        {dnnl_cpu_isa_sse41, "sse41"},
    };
    for (const auto& entry : kNames)
        if (includes(entry.isa)) return entry.name;
    return "generic";
}

}  // namespace dn::cpu
