// SPDX-License-Identifier: Apache-2.0
// The instruction sets in use: those of the processor, up to the limit that oneDNN's variable ONEDNN_MAX_CPU_ISA sets.
// oneDNN, our intrinsics and our loops all follow it, so that a test can force the path of a lesser processor.
#pragma once

#include <string>

#include "../../tensor.hpp"

namespace dn::cpu {

// Products of bfloat16 in hardware, which is also what functions marked DN_AVX512 need.
bool has_native_bf16();
// Whether oneDNN has bf16 primitives here, native or by conversion. Elsewhere tensors and weights are rounded to bf16
// all the same, and multiplied as float32.
bool has_bf16_primitives();
// The type in which oneDNN multiplies values of `type`.
DType multiplied_as(DType type);
// Of the vectors that loops of our own are compiled for.
enum class VectorWidth { baseline, avx2, avx512 };
VectorWidth vector_width();
const char* vectors_name();  // "avx512", "avx2" or "baseline"
// For example "avx2", as oneDNN spells it in its variable; "generic" where it knows none.
std::string isa_name();

}  // namespace dn::cpu
