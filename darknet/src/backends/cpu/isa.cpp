// SPDX-License-Identifier: Apache-2.0
#include "isa.hpp"

namespace dn::cpu {
namespace {

// Each set's value contains the bits of those it extends.
bool extends(dnnl_cpu_isa_t isa, dnnl_cpu_isa_t base) { return (isa & base) == base; }
bool includes(dnnl_cpu_isa_t isa) { return extends(dnnl_get_effective_cpu_isa(), isa); }

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

// Intel's processors with AMX (since Sapphire Rapids, which are also those with AVX512-FP16) have it for bf16: their
// vdpbf16ps takes four times as long as a multiply-add of float32, for twice the products, and virtual machines may
// hide AMX (docs/performance.md has figures).
bool bf16_products_pay(dnnl_cpu_isa_t isa, bool intel) {
    if (extends(isa, dnnl_cpu_isa_avx512_core_amx)) return true;
    return extends(isa, dnnl_cpu_isa_avx512_core_bf16) && !(intel && extends(isa, dnnl_cpu_isa_avx512_core_fp16));
}

bool multiplies_bf16() {
#if defined(__x86_64__) && defined(__GNUC__)
    static const bool pays = bf16_products_pay(dnnl_get_effective_cpu_isa(), __builtin_cpu_is("intel"));
    return pays;
#else
    return false;
#endif
}

DType multiplied_as(DType type) { return type == DType::bf16 && !multiplies_bf16() ? DType::f32 : type; }

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
