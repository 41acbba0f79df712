// SPDX-License-Identifier: Apache-2.0
// What the backend declares of NVIDIA's interfaces equals what their headers declare. Built where these are installed;
// building it is the test.
#include <cuda.h>
#include <cudnn.h>
#if __has_include(<nccl.h>)
#include <nccl.h>
#endif
#include <nvrtc.h>

#include <cstddef>
#include <type_traits>

#include "backends/cuda/abi.hpp"
#include "backends/cuda/dnn_abi.hpp"

namespace {

using namespace dn::cuda;
using namespace dn::cuda::abi;

// Passed in the same way: pointers stand for pointers, integers of a size for enumerations and integers of that size.
template <class A, class B>
constexpr bool passed_alike =
    sizeof(A) == sizeof(B) && std::is_pointer_v<A> == std::is_pointer_v<B>&& std::is_floating_point_v<A> ==
                                  std::is_floating_point_v<B>;
template <>
constexpr bool passed_alike<void, void> = true;

template <class Theirs, class Ours>
constexpr bool declared_alike = false;
template <class R, class... A, class S, class... B>
constexpr bool declared_alike<R (*)(A...), S(B...)> = [] {
    if constexpr (sizeof...(A) == sizeof...(B)) return passed_alike<R, S> && (passed_alike<A, B> && ...);
    return false;
}();

#define DN_CHECK_FUNCTION(name, ...) static_assert(declared_alike<decltype(&::name), __VA_ARGS__>, #name);
DN_CUDA_DRIVER(DN_CHECK_FUNCTION)
DN_CUDA_NVRTC(DN_CHECK_FUNCTION)
DN_CUDA_DNN(DN_CHECK_FUNCTION)
#if __has_include(<nccl.h>)
DN_CUDA_NCCL(DN_CHECK_FUNCTION)
static_assert(sizeof(GroupId) == sizeof(ncclUniqueId));
static_assert(offsetof(GroupConfig, magic) == offsetof(ncclConfig_t, magic));
static_assert(offsetof(GroupConfig, version) == offsetof(ncclConfig_t, version));
static_assert(offsetof(GroupConfig, blocking) == offsetof(ncclConfig_t, blocking));
static_assert(GroupConfig().magic == NCCL_API_MAGIC);
static_assert(GroupConfig().version == NCCL_VERSION(2, 14, 0));
static_assert(static_cast<int>(kSuccess) == static_cast<int>(ncclSuccess));
static_assert(static_cast<int>(kGroupInProgress) == static_cast<int>(ncclInProgress));
static_assert(static_cast<int>(kGroupFloat) == static_cast<int>(ncclFloat));
static_assert(static_cast<int>(kGroupSum) == static_cast<int>(ncclSum));
#endif

#define DN_CHECK_VALUE(ours, theirs) static_assert(static_cast<int>(ours) == static_cast<int>(theirs), #theirs);
DN_CHECK_VALUE(abi::kSuccess, CUDA_SUCCESS)
DN_CHECK_VALUE(abi::kInvalidValue, CUDA_ERROR_INVALID_VALUE)
DN_CHECK_VALUE(abi::kOutOfMemory, CUDA_ERROR_OUT_OF_MEMORY)
DN_CHECK_VALUE(abi::kNotInitialized, CUDA_ERROR_NOT_INITIALIZED)
DN_CHECK_VALUE(abi::kNoDevice, CUDA_ERROR_NO_DEVICE)
DN_CHECK_VALUE(abi::kIllegalAddress, CUDA_ERROR_ILLEGAL_ADDRESS)
DN_CHECK_VALUE(abi::kNotFound, CUDA_ERROR_NOT_FOUND)
DN_CHECK_VALUE(abi::kNotReady, CUDA_ERROR_NOT_READY)
static_assert(sizeof(Uuid) == sizeof(CUuuid));
DN_CHECK_VALUE(abi::kLaunchFailed, CUDA_ERROR_LAUNCH_FAILED)
DN_CHECK_VALUE(abi::kAttributeMultiprocessors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
DN_CHECK_VALUE(abi::kAttributeMajor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
DN_CHECK_VALUE(abi::kAttributeMinor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)
DN_CHECK_VALUE(abi::kCaptureUnsupported, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED)
DN_CHECK_VALUE(abi::kCaptureThreadLocal, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
DN_CHECK_VALUE(abi::kStreamNonBlocking, CU_STREAM_NON_BLOCKING)
DN_CHECK_VALUE(abi::kEventDefault, CU_EVENT_DEFAULT)
DN_CHECK_VALUE(abi::kEventDisableTiming, CU_EVENT_DISABLE_TIMING)
DN_CHECK_VALUE(abi::is_sticky(CUDA_ERROR_ECC_UNCORRECTABLE), true)
DN_CHECK_VALUE(abi::is_sticky(CUDA_ERROR_LAUNCH_TIMEOUT), true)
DN_CHECK_VALUE(abi::is_sticky(CUDA_ERROR_ASSERT), true)
DN_CHECK_VALUE(abi::is_sticky(CUDA_ERROR_LAUNCH_FAILED), true)
DN_CHECK_VALUE(abi::is_sticky(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES), false)
DN_CHECK_VALUE(abi::is_sticky(CUDA_ERROR_NOT_PERMITTED), false)

DN_CHECK_VALUE(dnn_abi::kSuccess, CUDNN_STATUS_SUCCESS)
DN_CHECK_VALUE(dnn_abi::kNotInitialized, CUDNN_STATUS_NOT_INITIALIZED)
DN_CHECK_VALUE(dnn_abi::kBadParam, CUDNN_STATUS_BAD_PARAM)
DN_CHECK_VALUE(dnn_abi::kNotSupported, CUDNN_STATUS_NOT_SUPPORTED)
DN_CHECK_VALUE(dnn_abi::kAllocFailed, CUDNN_STATUS_ALLOC_FAILED)
DN_CHECK_VALUE(dnn_abi::kDeviceAllocFailed, CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED)
DN_CHECK_VALUE(dnn_abi::kExecutionFailed, CUDNN_STATUS_EXECUTION_FAILED)
DN_CHECK_VALUE(dnn_abi::kFloat, CUDNN_DATA_FLOAT)
DN_CHECK_VALUE(dnn_abi::kHalf, CUDNN_DATA_HALF)
DN_CHECK_VALUE(dnn_abi::kBfloat16, CUDNN_DATA_BFLOAT16)
DN_CHECK_VALUE(dnn_abi::kTypeHandle, CUDNN_TYPE_HANDLE)
DN_CHECK_VALUE(dnn_abi::kTypeDataType, CUDNN_TYPE_DATA_TYPE)
DN_CHECK_VALUE(dnn_abi::kTypeInt64, CUDNN_TYPE_INT64)
DN_CHECK_VALUE(dnn_abi::kTypeFloat, CUDNN_TYPE_FLOAT)
DN_CHECK_VALUE(dnn_abi::kTypeVoidPointer, CUDNN_TYPE_VOID_PTR)
DN_CHECK_VALUE(dnn_abi::kTypeConvolutionMode, CUDNN_TYPE_CONVOLUTION_MODE)
DN_CHECK_VALUE(dnn_abi::kTypeHeuristicMode, CUDNN_TYPE_HEUR_MODE)
DN_CHECK_VALUE(dnn_abi::kTypeNumericalNote, CUDNN_TYPE_NUMERICAL_NOTE)
DN_CHECK_VALUE(dnn_abi::kTypeDescriptor, CUDNN_TYPE_BACKEND_DESCRIPTOR)
DN_CHECK_VALUE(dnn_abi::kTypeBehaviorNote, CUDNN_TYPE_BEHAVIOR_NOTE)
DN_CHECK_VALUE(dnn_abi::kTypeChar, CUDNN_TYPE_CHAR)
DN_CHECK_VALUE(dnn_abi::kDeviceProperties, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR)
DN_CHECK_VALUE(dnn_abi::kHeuristicDeviceProperties, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP)
DN_CHECK_VALUE(dnn_abi::kPlanDeviceProperties, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP)
DN_CHECK_VALUE(dnn_abi::kPropertiesJson, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION)
DN_CHECK_VALUE(dnn_abi::kConvolution, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR)
DN_CHECK_VALUE(dnn_abi::kEngine, CUDNN_BACKEND_ENGINE_DESCRIPTOR)
DN_CHECK_VALUE(dnn_abi::kEngineConfig, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR)
DN_CHECK_VALUE(dnn_abi::kEngineHeuristic, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR)
DN_CHECK_VALUE(dnn_abi::kExecutionPlan, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)
DN_CHECK_VALUE(dnn_abi::kOperationForward, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR)
DN_CHECK_VALUE(dnn_abi::kOperationBackwardFilter, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR)
DN_CHECK_VALUE(dnn_abi::kOperationBackwardData, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR)
DN_CHECK_VALUE(dnn_abi::kOperationGraph, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)
DN_CHECK_VALUE(dnn_abi::kVariantPack, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)
DN_CHECK_VALUE(dnn_abi::kTensor, CUDNN_BACKEND_TENSOR_DESCRIPTOR)
DN_CHECK_VALUE(dnn_abi::kCrossCorrelation, CUDNN_CROSS_CORRELATION)
DN_CHECK_VALUE(dnn_abi::kHeuristicModeA, CUDNN_HEUR_MODE_A)
DN_CHECK_VALUE(dnn_abi::kHeuristicModeFallback, CUDNN_HEUR_MODE_FALLBACK)
DN_CHECK_VALUE(dnn_abi::kTensorCore, CUDNN_NUMERICAL_NOTE_TENSOR_CORE)
DN_CHECK_VALUE(dnn_abi::kDownConvertInputs, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS)
DN_CHECK_VALUE(dnn_abi::kNondeterministic, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC)
DN_CHECK_VALUE(dnn_abi::kRuntimeCompilation, CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION)
DN_CHECK_VALUE(dnn_abi::kConvolutionCompType, CUDNN_ATTR_CONVOLUTION_COMP_TYPE)
DN_CHECK_VALUE(dnn_abi::kConvolutionMode, CUDNN_ATTR_CONVOLUTION_CONV_MODE)
DN_CHECK_VALUE(dnn_abi::kConvolutionDilations, CUDNN_ATTR_CONVOLUTION_DILATIONS)
DN_CHECK_VALUE(dnn_abi::kConvolutionStrides, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES)
DN_CHECK_VALUE(dnn_abi::kConvolutionPostPaddings, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS)
DN_CHECK_VALUE(dnn_abi::kConvolutionPrePaddings, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS)
DN_CHECK_VALUE(dnn_abi::kConvolutionSpatialDims, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS)
DN_CHECK_VALUE(dnn_abi::kHeuristicMode, CUDNN_ATTR_ENGINEHEUR_MODE)
DN_CHECK_VALUE(dnn_abi::kHeuristicOperationGraph, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH)
DN_CHECK_VALUE(dnn_abi::kHeuristicResults, CUDNN_ATTR_ENGINEHEUR_RESULTS)
DN_CHECK_VALUE(dnn_abi::kConfigEngine, CUDNN_ATTR_ENGINECFG_ENGINE)
DN_CHECK_VALUE(dnn_abi::kPlanHandle, CUDNN_ATTR_EXECUTION_PLAN_HANDLE)
DN_CHECK_VALUE(dnn_abi::kPlanConfig, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG)
DN_CHECK_VALUE(dnn_abi::kPlanWorkspaceSize, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE)
DN_CHECK_VALUE(dnn_abi::kForwardAlpha, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA)
DN_CHECK_VALUE(dnn_abi::kForwardBeta, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA)
DN_CHECK_VALUE(dnn_abi::kForwardConvolution, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC)
DN_CHECK_VALUE(dnn_abi::kForwardW, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W)
DN_CHECK_VALUE(dnn_abi::kForwardX, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X)
DN_CHECK_VALUE(dnn_abi::kForwardY, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y)
DN_CHECK_VALUE(dnn_abi::kDataAlpha, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA)
DN_CHECK_VALUE(dnn_abi::kDataBeta, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA)
DN_CHECK_VALUE(dnn_abi::kDataConvolution, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC)
DN_CHECK_VALUE(dnn_abi::kDataW, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W)
DN_CHECK_VALUE(dnn_abi::kDataDx, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX)
DN_CHECK_VALUE(dnn_abi::kDataDy, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY)
DN_CHECK_VALUE(dnn_abi::kFilterAlpha, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA)
DN_CHECK_VALUE(dnn_abi::kFilterBeta, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA)
DN_CHECK_VALUE(dnn_abi::kFilterConvolution, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC)
DN_CHECK_VALUE(dnn_abi::kFilterDw, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW)
DN_CHECK_VALUE(dnn_abi::kFilterX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X)
DN_CHECK_VALUE(dnn_abi::kFilterDy, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY)
DN_CHECK_VALUE(dnn_abi::kGraphHandle, CUDNN_ATTR_OPERATIONGRAPH_HANDLE)
DN_CHECK_VALUE(dnn_abi::kGraphOperations, CUDNN_ATTR_OPERATIONGRAPH_OPS)
DN_CHECK_VALUE(dnn_abi::kTensorAlignment, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT)
DN_CHECK_VALUE(dnn_abi::kTensorDataType, CUDNN_ATTR_TENSOR_DATA_TYPE)
DN_CHECK_VALUE(dnn_abi::kTensorDimensions, CUDNN_ATTR_TENSOR_DIMENSIONS)
DN_CHECK_VALUE(dnn_abi::kTensorStrides, CUDNN_ATTR_TENSOR_STRIDES)
DN_CHECK_VALUE(dnn_abi::kTensorUniqueId, CUDNN_ATTR_TENSOR_UNIQUE_ID)
DN_CHECK_VALUE(dnn_abi::kPackUniqueIds, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS)
DN_CHECK_VALUE(dnn_abi::kPackDataPointers, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS)
DN_CHECK_VALUE(dnn_abi::kPackWorkspace, CUDNN_ATTR_VARIANT_PACK_WORKSPACE)
DN_CHECK_VALUE(dnn_abi::kEngineGlobalIndex, CUDNN_ATTR_ENGINE_GLOBAL_INDEX)
DN_CHECK_VALUE(dnn_abi::kEngineNumericalNote, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE)
DN_CHECK_VALUE(dnn_abi::kEngineBehaviorNote, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE)

}  // namespace
