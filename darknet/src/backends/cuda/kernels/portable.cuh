// SPDX-License-Identifier: Apache-2.0
// The base of every kernel file. One source has three readers: NVRTC and nvcc compile it for a GPU; the tests run it on
// the host, with DN_SHARED and DN_ENTRY of their own; the engine includes it for declarations alone, which emits no
// code: each kernel's arguments, and its name as kernel::<name>.
//
// A kernel file needs no header but this one, functions.cuh and those that host and device share (device.cuh). A kernel
// is a function template over its storage type and takes one struct, by value; DN_KERNEL exports it as dn_<name>_f32,
// _f16 and _bf16, DN_PLAIN_KERNEL a kernel without a storage type as dn_<name>. Arithmetic is in float32. Blocks have
// kThreads threads in a row.
//
// A GPU's compiler takes seconds, so it is given what a network needs alone: DN_STORAGE=f16 leaves out the other types,
// and DN_ACTIVATIONS the activations whose bits it does not have (1 << kMish, say). A file whose kernels need many
// registers defines DN_RESIDENT_BLOCKS, the blocks for which a multiprocessor has enough: compilers aim at more.
#pragma once

#include "device.cuh"

#if defined(DN_ON_DEVICE)
#define DN_SHARED(type, name, count) __shared__ type name[count]
#if defined(DN_RESIDENT_BLOCKS)
#define DN_BOUNDS dn::cuda::kThreads, DN_RESIDENT_BLOCKS
#else
#define DN_BOUNDS dn::cuda::kThreads
#endif
#define DN_ENTRY(name, Args, body) \
    extern "C" __global__ void __launch_bounds__(DN_BOUNDS) name(const Args a) { body(a); }
#else
#include <cstring>
#if !defined(DN_SHARED)
#define DN_SHARED(type, name, count) type name[count]
#endif
#endif

#if defined(DN_ENTRY)
#define DN_ENTRY_OF(name, Args, type) DN_ENTRY(dn_##name##_##type, Args, name<type>)
#if defined(DN_STORAGE)
#define DN_EXPAND(name, Args, type) DN_ENTRY_OF(name, Args, type)
#define DN_KERNEL(program, name, Args) DN_EXPAND(name, Args, DN_STORAGE)
#else
#define DN_KERNEL(program, name, Args) \
    DN_ENTRY_OF(name, Args, f32)       \
    DN_ENTRY_OF(name, Args, f16)       \
    DN_ENTRY_OF(name, Args, bf16)
#endif
#define DN_PLAIN_KERNEL(program, name, Args) DN_ENTRY(dn_##name, Args, name)
#else
// NOLINTBEGIN(bugprone-macro-parentheses): types and names take none
#define DN_KERNEL(program, name, Args)                                   \
    namespace kernel {                                                   \
    inline constexpr KernelName<Args> name{#program, "dn_" #name, true}; \
    }
#define DN_PLAIN_KERNEL(program, name, Args)                              \
    namespace kernel {                                                    \
    inline constexpr KernelName<Args> name{#program, "dn_" #name, false}; \
    }
// NOLINTEND(bugprone-macro-parentheses)
#endif

namespace dn::cuda {

constexpr int kThreads = 256;  // of every block
constexpr int kLanes = 32;     // of a warp
constexpr int kWarps = kThreads / kLanes;

// What launches a kernel: the file that holds it, its exported name without the suffix of the storage type, and the
// type of its argument.
template <class Args>
struct KernelName {
    const char* program;
    const char* name;
    bool typed;  // exported once for each storage type
};

#if !defined(DN_ON_DEVICE)
// What CUDA declares by itself. Defined by the tests' harness alone; the engine never calls it.
struct Dim3 {
    unsigned x = 1, y = 1, z = 1;
};
extern thread_local Dim3 threadIdx, blockIdx, blockDim, gridDim;
void __syncthreads();
float __shfl_down_sync(unsigned mask, float value, unsigned step);
#endif

// -- storage types ---------------------------------------------------------------------------------------------------

using f32 = float;
struct f16 {
    unsigned short bits;
};
struct bf16 {
    unsigned short bits;
};

DN_DEVICE unsigned bits_of(float value) {
#if defined(DN_ON_DEVICE)
    return __float_as_uint(value);
#else
    unsigned bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
#endif
}

DN_DEVICE float float_of(unsigned bits) {
#if defined(DN_ON_DEVICE)
    return __uint_as_float(bits);
#else
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
#endif
}

// NaN and Inf have an exponent of all ones.
DN_DEVICE bool is_finite(float value) { return (bits_of(value) & 0x7F800000u) != 0x7F800000u; }

DN_DEVICE float widen(float value) { return value; }
DN_DEVICE float widen(bf16 value) { return float_of(static_cast<unsigned>(value.bits) << 16); }

// Rounding is to nearest, ties to even; NaN stays NaN.
DN_DEVICE void narrow(float value, float* to) { *to = value; }
DN_DEVICE void narrow(float value, bf16* to) {
    const unsigned bits = bits_of(value);
    const bool nan = (bits & 0x7FFFFFFFu) > 0x7F800000u;
    to->bits = static_cast<unsigned short>(nan ? (bits >> 16) | 0x40u : (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

#if defined(DN_ON_DEVICE)
DN_DEVICE float widen(f16 value) {
    float result;
    asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
    return result;
}
DN_DEVICE void narrow(float value, f16* to) { asm("cvt.rn.f16.f32 %0, %1;" : "=h"(to->bits) : "f"(value)); }
#else
DN_DEVICE float widen(f16 value) {
    const unsigned sign = (value.bits & 0x8000u) << 16, exponent = (value.bits >> 10) & 31u,
                   fraction = value.bits & 1023u;
    if (exponent == 31) return float_of(sign | 0x7F800000u | fraction << 13);
    if (exponent == 0) return float_of(sign | bits_of(static_cast<float>(fraction) * (1.0f / (1 << 24))));
    return float_of(sign | (exponent + 112) << 23 | fraction << 13);
}
DN_DEVICE void narrow(float value, f16* to) {
    constexpr float smallest_normal = 6.103515625e-05f, overflow = 65520;
    const unsigned bits = bits_of(value), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
    const float size = float_of(magnitude);
    unsigned half = 0;
    if (magnitude > 0x7F800000u)
        half = 0x7FFFu;
    else if (size >= overflow)
        half = 0x7C00u;
    else if (size < smallest_normal)
        half = static_cast<unsigned>(std::nearbyint(size * (1 << 24)));
    else
        half = (magnitude - (112u << 23) + 0xFFFu + (magnitude >> 13 & 1u)) >> 13;
    to->bits = static_cast<unsigned short>(sign | half);
}
#endif

// -- tensors ---------------------------------------------------------------------------------------------------------

// A channels-last tensor of the kernel's storage type: value c of pixel p stands at p * pitch + c. The pixels of all
// images follow each other.
struct View {
    void* data;
    long long pitch;
};

template <class T>
DN_DEVICE float load(View view, long long pixel, int channel) {
    return widen(static_cast<const T*>(view.data)[pixel * view.pitch + channel]);
}

template <class T>
DN_DEVICE void store(View view, long long pixel, int channel, float value) {
    narrow(value, static_cast<T*>(view.data) + pixel * view.pitch + channel);
}

// Replaces what is there, or adds to it.
template <class T>
DN_DEVICE void put(View view, long long pixel, int channel, float value, bool add) {
    store<T>(view, pixel, channel, add ? load<T>(view, pixel, channel) + value : value);
}

// -- loops and indices -----------------------------------------------------------------------------------------------

// First index of this thread, and the step, of a loop over as many values as there are by all threads of a grid (x, 1,
// 1).
DN_DEVICE long long first_index() { return static_cast<long long>(blockIdx.x) * kThreads + threadIdx.x; }
DN_DEVICE long long index_step() { return static_cast<long long>(gridDim.x) * kThreads; }

struct Quotient {
    long long quotient;
    int rest;
};

// Most indices fit into 32 bits, where a division is several times faster.
DN_DEVICE Quotient divide(long long index, int divisor) {
    if (index >> 32 == 0) {
        const unsigned quotient = static_cast<unsigned>(index) / static_cast<unsigned>(divisor);
        return {quotient, static_cast<int>(static_cast<unsigned>(index) - quotient * static_cast<unsigned>(divisor))};
    }
    const long long quotient = index / divisor;  // a call on a GPU, as the rest would be
    return {quotient, static_cast<int>(index - quotient * divisor)};
}

// A pixel of one of the images.
struct Place {
    int image, y, x;
};

DN_DEVICE Place place_of(long long pixel, int height, int width) {
    const Quotient image = divide(pixel, height * width);
    return {static_cast<int>(image.quotient), image.rest / width, image.rest % width};
}

DN_DEVICE long long pixel_of(int image, int y, int x, int height, int width) {
    return (static_cast<long long>(image) * height + y) * width + x;
}

DN_DEVICE int smaller(int a, int b) { return a < b ? a : b; }
DN_DEVICE int larger(int a, int b) { return a > b ? a : b; }

// -- sums ------------------------------------------------------------------------------------------------------------

DN_DEVICE int lane() { return static_cast<int>(threadIdx.x) % kLanes; }
DN_DEVICE int warp() { return static_cast<int>(threadIdx.x) / kLanes; }

// Sum over the block, in a fixed order, returned to thread 0 (to others: a part of it). Every thread must call it.
DN_DEVICE float block_sum(float value) {
    DN_SHARED(float, sums, kWarps);
    for (unsigned step = kLanes / 2; step > 0; step /= 2) value += __shfl_down_sync(0xFFFFFFFFu, value, step);
    __syncthreads();  // a sum before this one has been read
    if (lane() == 0) sums[warp()] = value;
    __syncthreads();
    if (warp() == 0) {
        value = lane() < kWarps ? sums[lane()] : 0;
        for (unsigned step = kLanes / 2; step > 0; step /= 2) value += __shfl_down_sync(0xFFFFFFFFu, value, step);
    }
    return value;
}

// For blocks whose warps take different pixels and whose lanes take different channels: the sum of each lane over the
// warps, in a fixed order, returned to warp 0. Every thread must call it.
DN_DEVICE float lane_sum(float value) {
    DN_SHARED(float, sums, kThreads);
    __syncthreads();  // sums before this one have been read
    sums[static_cast<int>(threadIdx.x)] = value;
    __syncthreads();
    for (int other = static_cast<int>(threadIdx.x) + kLanes; other < kThreads && threadIdx.x < kLanes; other += kLanes)
        value += sums[other];
    return value;
}

// -- random numbers --------------------------------------------------------------------------------------------------

// The finaliser of splitmix64, as in random.hpp: the same numbers as on the CPU.
DN_DEVICE unsigned long long mix(unsigned long long x) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    return x ^ (x >> 31);
}

// Value i of a stream, uniform in [0, 1), 24 bits.
DN_DEVICE float uniform(unsigned long long stream, unsigned long long i) {
    return static_cast<float>(mix(stream + (i + 1) * 0x9E3779B97F4A7C15ull) >> 40) * (1.0f / (1 << 24));
}

}  // namespace dn::cuda
