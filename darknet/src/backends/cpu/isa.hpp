// SPDX-License-Identifier: Apache-2.0
// The instruction sets in use: those of the processor, up to the limit that oneDNN's variable ONEDNN_MAX_CPU_ISA sets.
// oneDNN, our intrinsics and our loops all follow it, so that a test can force the path of a lesser processor.
#pragma once

#include <string>

#include <dnnl.h>

#include "../../tensor.hpp"

namespace dn::cpu {

// Products of bfloat16 in hardware, which is also what functions marked DN_AVX512 need.
bool has_native_bf16();
// Whether such products take less time than those of float32. Where they do not, tensors and weights are rounded to
// bf16 all the same, and multiplied as float32.
bool multiplies_bf16();
// The rule behind it, for an effective instruction set.
bool bf16_products_pay(dnnl_cpu_isa_t isa, bool intel);
// The type in which values of `type` are multiplied.
DType multiplied_as(DType type);
// Whether oneDNN has other primitives of bf16, which only move values.
bool has_bf16_primitives();
// Of the vectors that loops of our own are compiled for.
enum class VectorWidth { baseline, avx2, avx512 };
VectorWidth vector_width();
const char* vectors_name();  // "avx512", "avx2" or "baseline"
// For example "avx2", as oneDNN spells it in its variable; "generic" where it knows none.
std::string isa_name();

}  // namespace dn::cpu
