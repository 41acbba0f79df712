// SPDX-License-Identifier: Apache-2.0
// Between float32 planes (n, c, h, w) and a channels-last tensor, both on the device. Returns at once.
#pragma once

#include "kernels/move.cuh"
#include "launch.hpp"

namespace dn::cuda {

namespace planes_detail {

inline void move(Runtime& runtime, const KernelName<PlanesArgs>& kernel, float* planes, const Tensor& tensor) {
    const int pixels = tensor.shape.h * tensor.shape.w;
    const Launch<PlanesArgs> launch(runtime, kernel, tensor.type);
    launch(Grid{tiles_of(pixels), tiles_of(tensor.shape.c), static_cast<unsigned>(tensor.n)},
           {planes, view_of(tensor), static_cast<long long>(tensor.shape.size()), pixels, tensor.shape.c});
}

}  // namespace planes_detail

inline void from_planes(Runtime& runtime, const float* planes, const Tensor& dst) {
    planes_detail::move(runtime, kernel::from_planes, const_cast<float*>(planes), dst);
}

inline void to_planes(Runtime& runtime, const Tensor& src, float* planes) {
    planes_detail::move(runtime, kernel::to_planes, planes, src);
}

// Both for tensors of a type: loaded with the other kernels of a plan, not at the first call.
inline void declare_planes(const Runtime& runtime, DType type) {
    for (const auto& kernel : {kernel::from_planes, kernel::to_planes}) Launch<PlanesArgs>(runtime, kernel, type);
}

}  // namespace dn::cuda
