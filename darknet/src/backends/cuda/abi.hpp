// SPDX-License-Identifier: Apache-2.0
// NVIDIA's C interfaces as far as they are used, declared by hand: building needs no header of theirs. Functions have
// their exported names. A test compares all of it with their headers where these are installed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dn::cuda::abi {

// -- driver (libcuda.so.1) -------------------------------------------------------------------------------------------

using Address = unsigned long long;  // of device memory
struct ContextHandle;
struct StreamHandle;
struct EventHandle;
struct ModuleHandle;
struct FunctionHandle;
struct GraphHandle;
struct GraphExecHandle;

enum : int {
    kSuccess = 0,
    kInvalidValue = 1,
    kOutOfMemory = 2,
    kNotInitialized = 3,
    kNoDevice = 100,
    kIllegalAddress = 700,
    kNotFound = 500,
    kNotReady = 600,
    kCaptureUnsupported = 900,
    kLaunchFailed = 719,
};
// Every call on a device fails from such an error on, until the process ends.
constexpr bool is_sticky(int result) {
    constexpr int kEccUncorrectable = 214, kContained = 226, kLaunchTimeout = 702, kAssert = 710, kLastFault = 720;
    return result == kEccUncorrectable || result == kContained || result == kIllegalAddress ||
           result == kLaunchTimeout || (result >= kAssert && result < kLastFault);
}

struct Uuid {
    char bytes[16];
};

enum : int { kAttributeMultiprocessors = 16, kAttributeMajor = 75, kAttributeMinor = 76 };
enum : int { kCaptureThreadLocal = 1 };
enum : unsigned { kStreamNonBlocking = 1, kEventDefault = 0, kEventDisableTiming = 2 };

// F(exported name, type of the function)
#define DN_CUDA_DRIVER(F)                                                                                        \
    F(cuInit, int(unsigned))                                                                                     \
    F(cuDriverGetVersion, int(int*))                                                                             \
    F(cuGetErrorName, int(int, const char**))                                                                    \
    F(cuGetErrorString, int(int, const char**))                                                                  \
    F(cuDeviceGetCount, int(int*))                                                                               \
    F(cuDeviceGet, int(int*, int))                                                                               \
    F(cuDeviceGetName, int(char*, int, int))                                                                     \
    F(cuDeviceGetAttribute, int(int*, int, int))                                                                 \
    F(cuDeviceGetUuid_v2, int(Uuid*, int))                                                                       \
    F(cuDeviceTotalMem_v2, int(std::size_t*, int))                                                               \
    F(cuDevicePrimaryCtxRetain, int(ContextHandle**, int))                                                       \
    F(cuDevicePrimaryCtxRelease_v2, int(int))                                                                    \
    F(cuCtxPushCurrent_v2, int(ContextHandle*))                                                                  \
    F(cuCtxPopCurrent_v2, int(ContextHandle**))                                                                  \
    F(cuMemGetInfo_v2, int(std::size_t*, std::size_t*))                                                          \
    F(cuMemAlloc_v2, int(Address*, std::size_t))                                                                 \
    F(cuMemFree_v2, int(Address))                                                                                \
    F(cuMemHostAlloc, int(void**, std::size_t, unsigned))                                                        \
    F(cuMemFreeHost, int(void*))                                                                                 \
    F(cuMemcpyHtoDAsync_v2, int(Address, const void*, std::size_t, StreamHandle*))                               \
    F(cuMemcpyDtoHAsync_v2, int(void*, Address, std::size_t, StreamHandle*))                                     \
    F(cuMemcpyDtoDAsync_v2, int(Address, Address, std::size_t, StreamHandle*))                                   \
    F(cuMemsetD8Async, int(Address, unsigned char, std::size_t, StreamHandle*))                                  \
    F(cuStreamCreate, int(StreamHandle**, unsigned))                                                             \
    F(cuStreamDestroy_v2, int(StreamHandle*))                                                                    \
    F(cuStreamSynchronize, int(StreamHandle*))                                                                   \
    F(cuStreamQuery, int(StreamHandle*))                                                                         \
    F(cuStreamWaitEvent, int(StreamHandle*, EventHandle*, unsigned))                                             \
    F(cuEventCreate, int(EventHandle**, unsigned))                                                               \
    F(cuEventDestroy_v2, int(EventHandle*))                                                                      \
    F(cuEventRecord, int(EventHandle*, StreamHandle*))                                                           \
    F(cuEventSynchronize, int(EventHandle*))                                                                     \
    F(cuEventElapsedTime, int(float*, EventHandle*, EventHandle*))                                               \
    F(cuStreamBeginCapture_v2, int(StreamHandle*, int))                                                          \
    F(cuStreamEndCapture, int(StreamHandle*, GraphHandle**))                                                     \
    F(cuGraphInstantiateWithFlags, int(GraphExecHandle**, GraphHandle*, unsigned long long))                     \
    F(cuGraphLaunch, int(GraphExecHandle*, StreamHandle*))                                                       \
    F(cuGraphExecDestroy, int(GraphExecHandle*))                                                                 \
    F(cuGraphDestroy, int(GraphHandle*))                                                                         \
    F(cuModuleLoadData, int(ModuleHandle**, const void*))                                                        \
    F(cuModuleUnload, int(ModuleHandle*))                                                                        \
    F(cuModuleGetFunction, int(FunctionHandle**, ModuleHandle*, const char*))                                    \
    F(cuLaunchKernel, int(FunctionHandle*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, \
                          StreamHandle*, void**, void**))

// -- NVRTC (libnvrtc.so.12 or .13) -----------------------------------------------------------------------------------

struct ProgramHandle;

#define DN_CUDA_NVRTC(F)                                                                                               \
    F(nvrtcVersion, int(int*, int*))                                                                                   \
    F(nvrtcGetErrorString, const char*(int))                                                                           \
    F(nvrtcCreateProgram, int(ProgramHandle**, const char*, const char*, int, const char* const*, const char* const*)) \
    F(nvrtcDestroyProgram, int(ProgramHandle**))                                                                       \
    F(nvrtcCompileProgram, int(ProgramHandle*, int, const char* const*))                                               \
    F(nvrtcGetProgramLogSize, int(ProgramHandle*, std::size_t*))                                                       \
    F(nvrtcGetProgramLog, int(ProgramHandle*, char*))                                                                  \
    F(nvrtcGetCUBINSize, int(ProgramHandle*, std::size_t*))                                                            \
    F(nvrtcGetCUBIN, int(ProgramHandle*, char*))

// -- cuDNN (libcudnn.so.9); its constants are in dnn_abi.hpp ---------------------------------------------------------

struct DnnHandle;
using Descriptor = void*;

#define DN_CUDA_DNN(F)                                                                         \
    F(cudnnGetVersion, std::size_t())                                                          \
    F(cudnnGetCudartVersion, std::size_t())                                                    \
    F(cudnnGetErrorString, const char*(int))                                                   \
    F(cudnnGetLastErrorString, void(char*, std::size_t))                                       \
    F(cudnnCreate, int(DnnHandle**))                                                           \
    F(cudnnDestroy, int(DnnHandle*))                                                           \
    F(cudnnSetStream, int(DnnHandle*, StreamHandle*))                                          \
    F(cudnnBackendCreateDescriptor, int(int, Descriptor*))                                     \
    F(cudnnBackendDestroyDescriptor, int(Descriptor))                                          \
    F(cudnnBackendSetAttribute, int(Descriptor, int, int, std::int64_t, const void*))          \
    F(cudnnBackendGetAttribute, int(Descriptor, int, int, std::int64_t, std::int64_t*, void*)) \
    F(cudnnBackendFinalize, int(Descriptor))                                                   \
    F(cudnnBackendExecute, int(DnnHandle*, Descriptor, Descriptor))

// -- NCCL (libnccl.so.2) ---------------------------------------------------------------------------------------------

struct CommHandle;
struct GroupId {
    char bytes[128];
};
// The settings of NCCL 2.14, as which newer versions read them.
struct GroupConfig {
    std::size_t size = sizeof(GroupConfig);
    unsigned magic = 0xcafebeef, version = 21400;
    int blocking = 0;
};

enum : int { kGroupInProgress = 7, kGroupFloat = 7, kGroupSum = 0 };

#define DN_CUDA_NCCL(F)                                                           \
    F(ncclGetVersion, int(int*))                                                  \
    F(ncclGetErrorString, const char*(int))                                       \
    F(ncclGetLastError, const char*(CommHandle*))                                 \
    F(ncclGetUniqueId, int(GroupId*))                                             \
    F(ncclCommInitRankConfig, int(CommHandle**, int, GroupId, int, GroupConfig*)) \
    F(ncclCommGetAsyncError, int(CommHandle*, int*))                              \
    F(ncclCommAbort, int(CommHandle*))                                            \
    F(ncclAllReduce, int(const void*, void*, std::size_t, int, int, CommHandle*, StreamHandle*))

// -- tables of functions ---------------------------------------------------------------------------------------------

template <class Function>
using Pointer = Function*;

#define DN_FUNCTION_POINTER(name, ...) Pointer<__VA_ARGS__> name = nullptr;
struct Driver {
    DN_CUDA_DRIVER(DN_FUNCTION_POINTER)
};
struct Nvrtc {
    DN_CUDA_NVRTC(DN_FUNCTION_POINTER)
};
struct Dnn {
    DN_CUDA_DNN(DN_FUNCTION_POINTER)
};
struct Nccl {
    DN_CUDA_NCCL(DN_FUNCTION_POINTER)
};
#undef DN_FUNCTION_POINTER

}  // namespace dn::cuda::abi
