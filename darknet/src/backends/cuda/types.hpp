// SPDX-License-Identifier: Apache-2.0
// Storage types of this backend's tensors: float32, bfloat16 and float16.
#pragma once

#include "../../tensor.hpp"
#include "../precision.hpp"

namespace dn::cuda {

constexpr std::size_t kDeviceAlignment = 256;  // of buffers and of their parts

constexpr std::size_t device_aligned(std::size_t bytes) {
    return (bytes + kDeviceAlignment - 1) / kDeviceAlignment * kDeviceAlignment;
}

inline DType type_of(Precision precision) {
    return precision == Precision::f16 ? DType::f16 : precision == Precision::bf16 ? DType::bf16 : DType::f32;
}

}  // namespace dn::cuda
