// SPDX-License-Identifier: Apache-2.0
// The mark of functions that host and device compile from one source. On a device there are no headers: such a file
// includes only its like, by its name from this folder on, has plain structs and free functions, and calls functions of
// the C library by their names for float32 (expf).
#pragma once

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define DN_ON_DEVICE
#define DN_DEVICE static __device__ __forceinline__
#else
#include <cmath>
#define DN_DEVICE static inline
#endif
