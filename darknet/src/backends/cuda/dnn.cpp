// SPDX-License-Identifier: Apache-2.0
#include "dnn.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "../../error.hpp"
#include "dnn_descriptor.hpp"

namespace dn::cuda {
namespace {

using namespace dnn_abi;

constexpr std::int64_t kX = 1, kW = 2, kY = 3;  // names of the tensors of a graph
constexpr std::int64_t kAlignment = 16;

DataType type_of(DType type) { return type == DType::f32 ? kFloat : type == DType::f16 ? kHalf : kBfloat16; }

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

// An engine that suits, bound to its graph.
struct BoundEngine {
    Tuning::Choice choice;
    Descriptor plan;
    std::size_t workspace;
};

constexpr std::size_t kTimed = 8;  // at most, of one convolution

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
    Impl(const DnnStream& stream, const ConvolutionShape& of_shape, Pass of_pass)
        : dnn(stream),
          shape(of_shape),
          pass(of_pass),
          x(tensor(stream.device(), kX, type_of(shape.type), shape.n, shape.c, shape.h, shape.w)),
          w(tensor(stream.device(), kW, type_of(shape.type), shape.k, shape.c / shape.groups, shape.size, shape.size)),
          y(tensor(stream.device(), kY, type_of(shape.type), shape.n, shape.k, shape.out_h, shape.out_w)),
          description(convolution(stream.device(), shape)),
          operation(stream.device(), operation_of(pass).type),
          graph(stream.device(), kOperationGraph) {
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

    // Configurations of engines by a heuristic, best first.
    void list(int mode) {
        constexpr std::size_t most = 64;
        configs.clear();
        Descriptor heuristic(device(), kEngineHeuristic);
        heuristic.set(kHeuristicOperationGraph, graph).set<int>(kHeuristicMode, kTypeHeuristicMode, {mode});
        bind(heuristic, std::nullopt, kHeuristicDeviceProperties);
        if (!heuristic.try_finish()) return;
        std::vector<abi::Descriptor> places;
        for (std::size_t i = 0; i < most; ++i) {
            configs.emplace_back(device(), kEngineConfig);
            places.push_back(configs.back().get());
        }
        std::int64_t found = 0;
        device().check_dnn(device().dnn().cudnnBackendGetAttribute(heuristic.get(), kHeuristicResults, kTypeDescriptor,
                                                                   most, &found, places.data()),
                           "cudnnBackendGetAttribute");
        while (configs.size() > static_cast<std::size_t>(found)) configs.pop_back();
    }

    // cuDNN's number of the engine of a configuration; none if it does not suit.
    std::optional<int> number_of(const Descriptor& config) const {
        constexpr std::size_t most = 32;
        const Descriptor described(device(), kEngine);
        abi::Descriptor place = described.get();
        std::int64_t count = 0;
        device().check_dnn(
            device().dnn().cudnnBackendGetAttribute(config.get(), kConfigEngine, kTypeDescriptor, 1, &count, &place),
            "cudnnBackendGetAttribute");
        const auto notes = described.get<int>(kEngineNumericalNote, kTypeNumericalNote, most);
        const auto behaviour = described.get<int>(kEngineBehaviorNote, kTypeBehaviorNote, most);
        const auto has = [](const std::vector<int>& all, int note) {
            return std::find(all.begin(), all.end(), note) != all.end();
        };
        const bool keeps_float = shape.type == DType::f32 && !shape.tf32;
        if (has(notes, kNondeterministic) || has(behaviour, kRuntimeCompilation)) return std::nullopt;
        if (keeps_float && (has(notes, kTensorCore) || has(notes, kDownConvertInputs))) return std::nullopt;
        return static_cast<int>(described.get<std::int64_t>(kEngineGlobalIndex, kTypeInt64, 1).at(0));
    }

    std::optional<BoundEngine> engine_at(std::size_t place) const {
        if (place >= configs.size()) return std::nullopt;
        const std::optional<int> number = number_of(configs[place]);
        if (!number) return std::nullopt;
        Descriptor plan(device(), kExecutionPlan);
        plan.set(kPlanConfig, configs[place]);
        bind(plan, kPlanHandle, kPlanDeviceProperties);
        if (!plan.try_finish()) return std::nullopt;
        const std::int64_t bytes = plan.get<std::int64_t>(kPlanWorkspaceSize, kTypeInt64, 1).at(0);
        if (bytes > static_cast<std::int64_t>(kMostWorkspace)) return std::nullopt;
        return BoundEngine{{place, *number}, std::move(plan), static_cast<std::size_t>(bytes)};
    }

    // The first of the list.
    std::vector<BoundEngine> engines(std::size_t most) const {
        std::vector<BoundEngine> found;
        for (std::size_t place = 0; place < configs.size() && found.size() < most; ++place)
            if (auto suitable = engine_at(place)) found.push_back(std::move(*suitable));
        return found;
    }

    std::optional<BoundEngine> kept(const Tuning& tuning) const {
        const auto choice = tuning.read(key());
        if (!choice) return std::nullopt;
        auto found = engine_at(choice->place);
        if (found && found->choice.number != choice->number) return std::nullopt;
        return found;
    }

    // All that the times of engines depend on.
    std::string key() const {
        const ConvolutionShape& s = shape;
        return text("cuDNN ", dnn_version_text(device().libraries().dnn_version), ", ", device().facts().name, ", sm_",
                    device().facts().arch(), ", pass ", static_cast<int>(pass), ", type ", static_cast<int>(s.type),
                    s.tf32 ? " as tf32" : "", ", x ", s.n, ' ', s.c, ' ', s.h, ' ', s.w, ", y ", s.k, ' ', s.out_h, ' ',
                    s.out_w, ", size ", s.size, ", stride ", s.stride_y, ' ', s.stride_x, ", pad ", s.pad,
                    ", dilation ", s.dilation, ", groups ", s.groups);
    }

    void run(const BoundEngine& with, void* of_x, void* of_w, void* of_y, void* workspace) const {
        Descriptor pack(device(), kVariantPack);
        pack.set(kPackUniqueIds, {kX, kW, kY})
            .set<void*>(kPackDataPointers, kTypeVoidPointer, {of_x, of_w, of_y})
            .set<void*>(kPackWorkspace, kTypeVoidPointer, {workspace})
            .finish();
        device().check_dnn(device().dnn().cudnnBackendExecute(dnn.handle(), with.plan.get(), pack.get()),
                           "cudnnBackendExecute");
    }

    // The number in the list of the engine that takes the least time. Throws Error(out_of_memory) where the GPU has no
    // memory for it.
    std::size_t fastest_of(const std::vector<BoundEngine>& all) const {
        const auto buffer = [&](std::size_t size) { return DeviceBuffer(dnn.stream().shared_device(), size); };
        std::size_t workspace = 0;
        for (const BoundEngine& one : all) workspace = std::max(workspace, one.workspace);
        const std::size_t value = bytes(shape.type), images = shape.n;
        const DeviceBuffer scratch = buffer(workspace);
        const DeviceBuffer values[] = {buffer(images * shape.c * shape.h * shape.w * value),
                                       buffer(shape.weight_count() * value),
                                       buffer(images * shape.k * shape.out_h * shape.out_w * value)};
        for (const DeviceBuffer& array : values) dnn.stream().clear(array.get(), array.bytes());
        std::vector<double> times;
        for (const BoundEngine& one : all)
            times.push_back(seconds_of(
                dnn.stream(), [&] { run(one, values[0].get(), values[1].get(), values[2].get(), scratch.get()); }));
        return std::min_element(times.begin(), times.end()) - times.begin();
    }

    // Of the list. False: no engine suits.
    bool choose(const Tuning* tuning) {
        if (tuning && take(kept(*tuning))) return true;
        std::vector<BoundEngine> found = engines(tuning ? kTimed : 1);
        if (found.empty()) return false;
        const std::size_t best = tuning ? measure(*tuning, found) : 0;
        return take(std::move(found[best]));
    }

    bool take(std::optional<BoundEngine> found) {
        if (found) engine.emplace(std::move(*found));
        return found.has_value();
    }

    // The number in the list of the fastest, which is kept.
    std::size_t measure(const Tuning& tuning, const std::vector<BoundEngine>& all) const {
        try {
            const std::size_t best = fastest_of(all);
            tuning.keep(key(), all[best].choice);
            return best;
        } catch (const Error& error) {
            if (error.status() != dn::Status::out_of_memory) throw;
            return 0;
        }
    }

    const DnnStream& dnn;
    const ConvolutionShape shape;
    const Pass pass;
    Descriptor x, w, y, description, operation, graph;
    std::vector<Descriptor> configs;
    std::optional<BoundEngine> engine;  // the chosen one
};

Convolution::Convolution(const DnnStream& dnn, const ConvolutionShape& shape, Pass pass, const std::string& where,
                         const Tuning* tuning) {
    const Entered here(dnn.device());
    impl_ = std::make_unique<Impl>(dnn, shape, pass);
    for (const int mode : {kHeuristicModeA, kHeuristicModeFallback}) {
        impl_->list(mode);
        if (impl_->choose(tuning)) return;
    }
    throw Error(dn::Status::backend, where,
                text("cuDNN ", dnn_version_text(dnn.device().libraries().dnn_version),
                     " has no engine for this convolution on ", dnn.device().facts().name,
                     " that gives the same result in every run within ", kMostWorkspace >> 20,
                     " MB; try another precision, or another batch size"));
}

Convolution::~Convolution() = default;
Convolution::Convolution(Convolution&&) noexcept = default;

std::size_t Convolution::workspace_bytes() const { return impl_->engine->workspace; }
int Convolution::engine() const { return impl_->engine->choice.number; }

void Convolution::run(void* x, void* weights, void* y, void* workspace) const {
    impl_->run(*impl_->engine, x, weights, y, workspace);
}

}  // namespace dn::cuda
