// SPDX-License-Identifier: Apache-2.0
// Constants of cuDNN 9's backend interface, as far as they are used. A test compares them with NVIDIA's header.
#pragma once

namespace dn::cuda::dnn_abi {

// cudnnStatus_t
enum Status : int {
    kSuccess = 0,
    kNotInitialized = 1001,
    kBadParam = 2000,
    kNotSupported = 3000,
    kAllocFailed = 4003,
    kDeviceAllocFailed = 4004,
    kExecutionFailed = 5000,
};

// cudnnDataType_t
enum DataType : int { kFloat = 0, kHalf = 2, kBfloat16 = 9 };

// cudnnBackendAttributeType_t
enum AttributeType : int {
    kTypeHandle = 0,
    kTypeDataType = 1,
    kTypeInt64 = 3,
    kTypeFloat = 4,
    kTypeVoidPointer = 6,
    kTypeConvolutionMode = 7,
    kTypeHeuristicMode = 8,
    kTypeNumericalNote = 11,
    kTypeDescriptor = 15,
    kTypeBehaviorNote = 19,
    kTypeChar = 24,
};

// cudnnBackendDescriptorType_t
enum DescriptorType : int {
    kConvolution = 1,
    kEngine = 2,
    kEngineConfig = 3,
    kEngineHeuristic = 4,
    kExecutionPlan = 5,
    kOperationForward = 10,
    kOperationBackwardFilter = 11,
    kOperationBackwardData = 12,
    kOperationGraph = 15,
    kVariantPack = 16,
    kTensor = 17,
    kDeviceProperties = 38,
};

enum : int { kCrossCorrelation = 1, kHeuristicModeFallback = 2, kHeuristicModeA = 3 };

// cudnnBackendNumericalNote_t, cudnnBackendBehaviorNote_t
enum NumericalNote : int { kTensorCore = 0, kDownConvertInputs = 1, kNondeterministic = 4 };
enum BehaviorNote : int { kRuntimeCompilation = 0 };

// cudnnBackendAttributeName_t
enum Attribute : int {
    kConvolutionCompType = 100,
    kConvolutionMode = 101,
    kConvolutionDilations = 102,
    kConvolutionStrides = 103,
    kConvolutionPostPaddings = 104,
    kConvolutionPrePaddings = 105,
    kConvolutionSpatialDims = 106,
    kHeuristicMode = 200,
    kHeuristicOperationGraph = 201,
    kHeuristicResults = 202,
    kHeuristicDeviceProperties = 204,
    kConfigEngine = 300,
    kPlanHandle = 400,
    kPlanConfig = 401,
    kPlanWorkspaceSize = 402,
    kPlanDeviceProperties = 407,
    kForwardAlpha = 700,
    kForwardBeta = 701,
    kForwardConvolution = 702,
    kForwardW = 703,
    kForwardX = 704,
    kForwardY = 705,
    kDataAlpha = 706,
    kDataBeta = 707,
    kDataConvolution = 708,
    kDataW = 709,
    kDataDx = 710,
    kDataDy = 711,
    kFilterAlpha = 712,
    kFilterBeta = 713,
    kFilterConvolution = 714,
    kFilterDw = 715,
    kFilterX = 716,
    kFilterDy = 717,
    kGraphHandle = 800,
    kGraphOperations = 801,
    kTensorAlignment = 900,
    kTensorDataType = 901,
    kTensorDimensions = 902,
    kTensorStrides = 903,
    kTensorUniqueId = 906,
    kPackUniqueIds = 1000,
    kPackDataPointers = 1001,
    kPackWorkspace = 1003,
    kEngineGlobalIndex = 1301,
    kEngineNumericalNote = 1303,
    kEngineBehaviorNote = 1305,
    kPropertiesJson = 2702,
};

}  // namespace dn::cuda::dnn_abi
