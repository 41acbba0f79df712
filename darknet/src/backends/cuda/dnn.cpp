// SPDX-License-Identifier: Apache-2.0
#include "dnn.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "../../error.hpp"
#include "dnn_abi.hpp"

namespace dn::cuda {
namespace {

using namespace dnn_abi;

constexpr std::int64_t kX = 1, kW = 2, kY = 3;  // names of the tensors of a graph
constexpr std::int64_t kAlignment = 16;

DataType type_of(DType type) { return type == DType::f32 ? kFloat : type == DType::f16 ? kHalf : kBfloat16; }

// A descriptor of cuDNN. Its functions are called by one thread at a time.
class Descriptor {
public:
    Descriptor(const Device& device, DescriptorType type) : device_(&device) {
        device.check_dnn(device.dnn().cudnnBackendCreateDescriptor(type, &descriptor_), "cudnnBackendCreateDescriptor");
    }
    ~Descriptor() {
        if (descriptor_) device_->dnn().cudnnBackendDestroyDescriptor(descriptor_);
    }
    Descriptor(Descriptor&& other) noexcept
        : device_(other.device_), descriptor_(std::exchange(other.descriptor_, nullptr)) {}
    Descriptor& operator=(Descriptor&&) = delete;

    abi::Descriptor get() const { return descriptor_; }
    abi::Descriptor release() { return std::exchange(descriptor_, nullptr); }

    template <class T>
    Descriptor& set(Attribute attribute, AttributeType type, const std::vector<T>& values) {
        device_->check_dnn(device_->dnn().cudnnBackendSetAttribute(
                               descriptor_, attribute, type, static_cast<std::int64_t>(values.size()), values.data()),
                           "cudnnBackendSetAttribute");
        return *this;
    }
    Descriptor& set(Attribute attribute, const Descriptor& other) {
        return set<abi::Descriptor>(attribute, kTypeDescriptor, {other.get()});
    }
    Descriptor& set(Attribute attribute, const std::vector<std::int64_t>& values) {
        return set(attribute, kTypeInt64, values);
    }

    // Up to `room` values.
    template <class T>
    std::vector<T> get(Attribute attribute, AttributeType type, std::size_t room) const {
        std::vector<T> values(room);
        std::int64_t count = 0;
        device_->check_dnn(device_->dnn().cudnnBackendGetAttribute(
                               descriptor_, attribute, type, static_cast<std::int64_t>(room), &count, values.data()),
                           "cudnnBackendGetAttribute");
        values.resize(std::min<std::size_t>(room, static_cast<std::size_t>(count)));
        return values;
    }

    bool try_finish() { return device_->dnn().cudnnBackendFinalize(descriptor_) == kSuccess; }
    Descriptor& finish() {
        device_->check_dnn(device_->dnn().cudnnBackendFinalize(descriptor_), "cudnnBackendFinalize");
        return *this;
    }

private:
    const Device* device_;
    abi::Descriptor descriptor_ = nullptr;
};

// (n, c, h, w) with channels last.
Descriptor tensor(const Device& device, std::int64_t name, DataType type, std::int64_t n, std::int64_t c,
                  std::int64_t h, std::int64_t w) {
    Descriptor made(device, kTensor);
    made.set(kTensorUniqueId, {name})
        .set<int>(kTensorDataType, kTypeDataType, {type})
        .set(kTensorDimensions, {n, c, h, w})
        .set(kTensorStrides, {c * h * w, 1, w * c, c})
        .set(kTensorAlignment, {kAlignment})
        .finish();
    return made;
}

Descriptor convolution(const Device& device, const ConvolutionShape& shape) {
    Descriptor made(device, kConvolution);
    const std::vector<std::int64_t> pad{shape.pad, shape.pad}, dilation{shape.dilation, shape.dilation};
    made.set(kConvolutionSpatialDims, {2})
        .set<int>(kConvolutionCompType, kTypeDataType, {kFloat})
        .set<int>(kConvolutionMode, kTypeConvolutionMode, {kCrossCorrelation})
        .set(kConvolutionPrePaddings, pad)
        .set(kConvolutionPostPaddings, pad)
        .set(kConvolutionDilations, dilation)
        .set(kConvolutionStrides, {shape.stride_y, shape.stride_x})
        .finish();
    return made;
}

// Attributes of a pass's operation.
struct Operation {
    DescriptorType type;
    Attribute alpha, beta, convolution, x, w, y;
};

Operation operation_of(Pass pass) {
    switch (pass) {
        case Pass::data:
            return {kOperationBackwardData, kDataAlpha, kDataBeta, kDataConvolution, kDataDx, kDataW, kDataDy};
        case Pass::filter:
            return {kOperationBackwardFilter,
                    kFilterAlpha,
                    kFilterBeta,
                    kFilterConvolution,
                    kFilterX,
                    kFilterDw,
                    kFilterDy};
        default:
            return {kOperationForward, kForwardAlpha, kForwardBeta, kForwardConvolution,
                    kForwardX,         kForwardW,     kForwardY};
    }
}

}  // namespace

DnnStream::DnnStream(const Stream& stream) : stream_(stream) {
    const Entered here(device());
    device().check_dnn(device().dnn().cudnnCreate(&handle_), "cudnnCreate");
    const int status = device().dnn().cudnnSetStream(handle_, stream.handle());
    if (status != kSuccess) device().dnn().cudnnDestroy(handle_);
    device().check_dnn(status, "cudnnSetStream");
}

DnnStream::DnnStream(const Stream& stream, const std::string& properties) : stream_(stream) {
    Descriptor made(device(), kDeviceProperties);
    std::vector<char> json(properties.begin(), properties.end());
    json.push_back('\0');
    made.set(kPropertiesJson, kTypeChar, json).finish();
    properties_ = made.release();
}

DnnStream::~DnnStream() {
    if (handle_) device().dnn().cudnnDestroy(handle_);
    if (properties_) device().dnn().cudnnBackendDestroyDescriptor(properties_);
}

// What a graph is made of lives as long as its plan.
struct Convolution::Impl {
    Impl(const DnnStream& stream, const ConvolutionShape& shape, Pass pass)
        : dnn(stream),
          x(tensor(stream.device(), kX, type_of(shape.type), shape.n, shape.c, shape.h, shape.w)),
          w(tensor(stream.device(), kW, type_of(shape.type), shape.k, shape.c / shape.groups, shape.size, shape.size)),
          y(tensor(stream.device(), kY, type_of(shape.type), shape.n, shape.k, shape.out_h, shape.out_w)),
          description(convolution(stream.device(), shape)),
          operation(stream.device(), operation_of(pass).type),
          graph(stream.device(), kOperationGraph),
          keeps_float(shape.type == DType::f32 && !shape.tf32) {
        const Operation names = operation_of(pass);
        operation.set(names.convolution, description)
            .set(names.x, x)
            .set(names.w, w)
            .set(names.y, y)
            .set<float>(names.alpha, kTypeFloat, {1.f})
            .set<float>(names.beta, kTypeFloat, {0.f})
            .finish();
        graph.set(kGraphOperations, operation);
        bind(graph, kGraphHandle, std::nullopt);
        graph.finish();
    }

    const Device& device() const { return dnn.device(); }

    // The GPU that is meant, as an operation graph, a heuristic or a plan wants to know it.
    void bind(Descriptor& descriptor, std::optional<Attribute> handle, std::optional<Attribute> properties) const {
        if (!dnn.properties() && handle) descriptor.set<abi::DnnHandle*>(*handle, kTypeHandle, {dnn.handle()});
        if (dnn.properties() && properties)
            descriptor.set<abi::Descriptor>(*properties, kTypeDescriptor, {dnn.properties()});
    }

    bool choose(int mode) {
        constexpr std::size_t most = 64;
        Descriptor heuristic(device(), kEngineHeuristic);
        heuristic.set(kHeuristicOperationGraph, graph).set<int>(kHeuristicMode, kTypeHeuristicMode, {mode});
        bind(heuristic, std::nullopt, kHeuristicDeviceProperties);
        if (!heuristic.try_finish()) return false;
        std::vector<abi::Descriptor> places;
        for (std::size_t i = 0; i < most; ++i) {
            configs.emplace_back(device(), kEngineConfig);
            places.push_back(configs.back().get());
        }
        std::int64_t found = 0;
        device().check_dnn(device().dnn().cudnnBackendGetAttribute(heuristic.get(), kHeuristicResults, kTypeDescriptor,
                                                                   most, &found, places.data()),
                           "cudnnBackendGetAttribute");
        for (std::int64_t i = 0; i < found; ++i)
            if (suits(configs[i]) && plan_with(configs[i])) return true;
        configs.clear();
        return false;
    }

    bool suits(const Descriptor& config) {
        constexpr std::size_t most = 32;
        const Descriptor engine(device(), kEngine);
        abi::Descriptor place = engine.get();
        std::int64_t count = 0;
        device().check_dnn(
            device().dnn().cudnnBackendGetAttribute(config.get(), kConfigEngine, kTypeDescriptor, 1, &count, &place),
            "cudnnBackendGetAttribute");
        const auto notes = engine.get<int>(kEngineNumericalNote, kTypeNumericalNote, most);
        const auto behaviour = engine.get<int>(kEngineBehaviorNote, kTypeBehaviorNote, most);
        const auto has = [](const std::vector<int>& all, int note) {
            return std::find(all.begin(), all.end(), note) != all.end();
        };
        if (has(notes, kNondeterministic) || has(behaviour, kRuntimeCompilation)) return false;
        if (keeps_float && (has(notes, kTensorCore) || has(notes, kDownConvertInputs))) return false;
        number = static_cast<int>(engine.get<std::int64_t>(kEngineGlobalIndex, kTypeInt64, 1).at(0));
        return true;
    }

    bool plan_with(const Descriptor& config) {
        auto made = std::make_unique<Descriptor>(device(), kExecutionPlan);
        made->set(kPlanConfig, config);
        bind(*made, kPlanHandle, kPlanDeviceProperties);
        if (!made->try_finish()) return false;
        const std::int64_t bytes = made->get<std::int64_t>(kPlanWorkspaceSize, kTypeInt64, 1).at(0);
        if (bytes > static_cast<std::int64_t>(kMostWorkspace)) return false;
        workspace = static_cast<std::size_t>(bytes);
        plan = std::move(made);
        return true;
    }

    const DnnStream& dnn;
    Descriptor x, w, y, description, operation, graph;
    bool keeps_float;
    std::vector<Descriptor> configs;
    std::unique_ptr<Descriptor> plan;
    std::size_t workspace = 0;
    int number = -1;
};

Convolution::Convolution(const DnnStream& dnn, const ConvolutionShape& shape, Pass pass, const std::string& where) {
    const Entered here(dnn.device());
    impl_ = std::make_unique<Impl>(dnn, shape, pass);
    if (impl_->choose(kHeuristicModeA) || impl_->choose(kHeuristicModeFallback)) return;
    throw Error(dn::Status::backend, where,
                text("cuDNN ", dnn_version_text(dnn.device().libraries().dnn_version),
                     " has no engine for this convolution on ", dnn.device().facts().name,
                     " that gives the same result in every run within ", kMostWorkspace >> 20,
                     " MB; try another precision, or another batch size"));
}

Convolution::~Convolution() = default;
Convolution::Convolution(Convolution&&) noexcept = default;

std::size_t Convolution::workspace_bytes() const { return impl_->workspace; }
int Convolution::engine() const { return impl_->number; }

void Convolution::run(void* x, void* weights, void* y, void* workspace) const {
    const Device& device = impl_->device();
    Descriptor pack(device, kVariantPack);
    pack.set(kPackUniqueIds, {kX, kW, kY})
        .set<void*>(kPackDataPointers, kTypeVoidPointer, {x, weights, y})
        .set<void*>(kPackWorkspace, kTypeVoidPointer, {workspace})
        .finish();
    device.check_dnn(device.dnn().cudnnBackendExecute(impl_->dnn.handle(), impl_->plan->get(), pack.get()),
                     "cudnnBackendExecute");
}

}  // namespace dn::cuda
