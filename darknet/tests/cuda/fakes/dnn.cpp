// SPDX-License-Identifier: Apache-2.0
// cuDNN for tests: convolutions of channels-last tensors, forward and both gradients, in
// float32, rounded to the type of what they write. Of each graph it offers engines that a caller may have to refuse.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "backends/cuda/dnn_abi.hpp"
#include "backends/cuda/kernels/portable.cuh"
#include "fakes.hpp"

using namespace dn::fakes;
using namespace dn::cuda::dnn_abi;
using dn::cuda::abi::Descriptor;
using dn::cuda::abi::DnnHandle;
using dn::cuda::abi::StreamHandle;

namespace {

struct Node {
    explicit Node(int of_type) : type(of_type) {}
    int type;
    bool finished = false;
    std::map<int, std::vector<char>> values;  // by attribute

    template <class T>
    std::vector<T> all(int attribute) const {
        const auto found = values.find(attribute);
        if (found == values.end())
            throw std::runtime_error("cuDNN: attribute " + std::to_string(attribute) + " missing");
        std::vector<T> out(found->second.size() / sizeof(T));
        std::memcpy(out.data(), found->second.data(), out.size() * sizeof(T));
        return out;
    }
    template <class T>
    T one(int attribute) const {
        return all<T>(attribute).at(0);
    }
    const Node& node(int attribute) const { return *static_cast<Node*>(one<Descriptor>(attribute)); }
};

struct Handle {
    StreamHandle* stream = nullptr;
};

// Engines of the heuristic, best first: what a caller must be able to pass over.
struct FakeEngine {
    bool nondeterministic, tensor_core;
    std::int64_t workspace;
};
constexpr FakeEngine kEngines[] = {
    {true, true, 0}, {false, true, std::int64_t{1} << 40}, {false, true, 64}, {false, false, 64}};
constexpr int kEngineCount = sizeof kEngines / sizeof *kEngines;

// Four-dimensional, in the order n, c, h, w.
struct Values {
    char* data;
    int type;
    std::vector<std::int64_t> dim, stride;

    std::int64_t offset(std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w) const {
        return n * stride[0] + c * stride[1] + h * stride[2] + w * stride[3];
    }
    float get(std::int64_t at) const {
        if (type == kFloat) return reinterpret_cast<const float*>(data)[at];
        if (type == kHalf) return dn::cuda::widen(reinterpret_cast<const dn::cuda::f16*>(data)[at]);
        return dn::cuda::widen(reinterpret_cast<const dn::cuda::bf16*>(data)[at]);
    }
    void set(std::int64_t at, float value) const {
        if (type == kFloat) reinterpret_cast<float*>(data)[at] = value;
        if (type == kHalf) dn::cuda::narrow(value, reinterpret_cast<dn::cuda::f16*>(data) + at);
        if (type == kBfloat16) dn::cuda::narrow(value, reinterpret_cast<dn::cuda::bf16*>(data) + at);
    }
    std::size_t span() const {
        std::int64_t last = 0;
        for (int i = 0; i < 4; ++i) last += (dim[i] - 1) * stride[i];
        return static_cast<std::size_t>(last + 1) * (type == kFloat ? 4 : 2);
    }
};

struct Convolution {
    std::vector<std::int64_t> pad, step, dilation;
    Values x, w, y;

    // visit(x, w, y): the places of each product.
    template <class Visit>
    void products(std::int64_t n, std::int64_t k, std::int64_t oh, std::int64_t ow, const Visit& visit) const {
        const std::int64_t channels = w.dim[1], group = k / (y.dim[1] / (x.dim[1] / channels));
        for (std::int64_t c = 0; c < channels; ++c)
            for (std::int64_t r = 0; r < w.dim[2]; ++r)
                for (std::int64_t s = 0; s < w.dim[3]; ++s) {
                    const std::int64_t ih = oh * step[0] - pad[0] + r * dilation[0],
                                       iw = ow * step[1] - pad[1] + s * dilation[1];
                    if (ih < 0 || ih >= x.dim[2] || iw < 0 || iw >= x.dim[3]) continue;
                    visit(x.offset(n, group * channels + c, ih, iw), w.offset(k, c, r, s));
                }
    }
    template <class Visit>
    void outputs(const Visit& visit) const {
        for (std::int64_t n = 0; n < y.dim[0]; ++n)
            for (std::int64_t k = 0; k < y.dim[1]; ++k)
                for (std::int64_t h = 0; h < y.dim[2]; ++h)
                    for (std::int64_t v = 0; v < y.dim[3]; ++v) visit(n, k, h, v);
    }

    void forward() const {
        outputs([&](auto n, auto k, auto h, auto v) {
            float sum = 0;
            products(n, k, h, v, [&](auto from, auto weight) { sum += x.get(from) * w.get(weight); });
            y.set(y.offset(n, k, h, v), sum);
        });
    }
    // Sums in float32, then written into `target`.
    template <class Add>
    void gather(const Values& target, const Add& add) const {
        std::vector<float> sums(target.span() / (target.type == kFloat ? 4 : 2));
        outputs([&](auto n, auto k, auto h, auto v) {
            const float delta = y.get(y.offset(n, k, h, v));
            products(n, k, h, v, [&](auto from, auto weight) { add(sums, from, weight, delta); });
        });
        for (std::int64_t n = 0; n < target.dim[0]; ++n)
            for (std::int64_t c = 0; c < target.dim[1]; ++c)
                for (std::int64_t h = 0; h < target.dim[2]; ++h)
                    for (std::int64_t v = 0; v < target.dim[3]; ++v)
                        target.set(target.offset(n, c, h, v), sums[target.offset(n, c, h, v)]);
    }
    void backward_data() const {
        gather(x, [&](auto& sums, auto from, auto weight, float delta) { sums[from] += delta * w.get(weight); });
    }
    void backward_filter() const {
        gather(w, [&](auto& sums, auto from, auto weight, float delta) { sums[weight] += delta * x.get(from); });
    }
};

struct Pack {
    std::map<std::int64_t, void*> pointers;
    Values values(const Node& tensor) const {
        const auto found = pointers.find(tensor.one<std::int64_t>(kTensorUniqueId));
        if (found == pointers.end()) throw std::runtime_error("cuDNN: no pointer for a tensor");
        Values values{static_cast<char*>(found->second), tensor.one<int>(kTensorDataType),
                      tensor.all<std::int64_t>(kTensorDimensions), tensor.all<std::int64_t>(kTensorStrides)};
        const auto alignment = static_cast<std::uintptr_t>(tensor.one<std::int64_t>(kTensorAlignment));
        if (reinterpret_cast<std::uintptr_t>(values.data) % alignment)
            throw std::runtime_error("cuDNN: a tensor that is not aligned as declared");
        need_allocated(values.data, values.span());
        return values;
    }
};

Convolution convolution_of(const Node& op, int base, const Pack& pack) {
    // Attributes of the three operations stand in the same order: alpha, beta, convolution, then their tensors.
    const Node& description = op.node(base + 2);
    const auto sizes = [&](int attribute) { return description.all<std::int64_t>(attribute); };
    const int x = base == kDataAlpha ? kDataDx : base == kFilterAlpha ? kFilterX : kForwardX;
    const int w = base == kDataAlpha ? kDataW : base == kFilterAlpha ? kFilterDw : kForwardW;
    const int out = base == kDataAlpha ? kDataDy : base == kFilterAlpha ? kFilterDy : kForwardY;
    return {sizes(kConvolutionPrePaddings), sizes(kConvolutionStrides), sizes(kConvolutionDilations),
            pack.values(op.node(x)),        pack.values(op.node(w)),    pack.values(op.node(out))};
}

void execute(const Node& plan, const Pack& pack) {
    const Node& graph = plan.node(kPlanConfig).node(kHeuristicOperationGraph);
    const auto ops = graph.all<Descriptor>(kGraphOperations);
    const Node& first = *static_cast<Node*>(ops.at(0));
    if (first.type == kOperationBackwardData) return convolution_of(first, kDataAlpha, pack).backward_data();
    if (first.type == kOperationBackwardFilter) return convolution_of(first, kFilterAlpha, pack).backward_filter();
    convolution_of(first, kForwardAlpha, pack).forward();
}

Node* of(Descriptor descriptor) { return static_cast<Node*>(descriptor); }

template <class T>
int give(const std::vector<T>& values, std::int64_t room, std::int64_t* count, void* out) {
    *count = static_cast<std::int64_t>(values.size());
    std::copy_n(values.begin(), out ? std::min<std::size_t>(room, values.size()) : 0, static_cast<T*>(out));
    return kSuccess;
}

// The engine's number travels in its descriptor, as does the graph that it computes.
int engine_number(const Node& engine) { return engine.one<int>(kEngineGlobalIndex); }

void set_value(Node& node, int attribute, const void* value, std::size_t bytes) {
    const char* first = static_cast<const char*>(value);
    node.values[attribute].assign(first, first + bytes);
}

// Fills descriptors that the caller made: engine configurations, and the engine of one.
int give_configs(const Node& heuristic, std::int64_t room, std::int64_t* count, void* out) {
    const long long listed = std::min<long long>(kEngineCount, setting("engines"));
    *count = listed;
    for (int i = 0; out && i < std::min<std::int64_t>(room, listed); ++i) {
        Node& config = *of(static_cast<Descriptor*>(out)[i]);
        const Descriptor graph = heuristic.one<Descriptor>(kHeuristicOperationGraph);
        set_value(config, kHeuristicOperationGraph, &graph, sizeof graph);
        set_value(config, kEngineGlobalIndex, &i, sizeof i);
    }
    if (out) *count = std::min<std::int64_t>(room, listed);
    return kSuccess;
}

std::size_t size_of(int type) {
    switch (type) {
        case kTypeInt64:
        case kTypeHandle:
        case kTypeDescriptor:
        case kTypeVoidPointer:
            return sizeof(std::int64_t);
        default:
            return sizeof(int);
    }
}

}  // namespace

DN_FAKE std::size_t cudnnGetVersion() { return static_cast<std::size_t>(setting("dnn")); }
DN_FAKE std::size_t cudnnGetCudartVersion() {
    constexpr std::size_t kVersion = 12090;
    return kVersion;
}
DN_FAKE const char* cudnnGetErrorString(int) { return "CUDNN_STATUS"; }
DN_FAKE void cudnnGetLastErrorString(char* message, std::size_t length) {
    std::snprintf(message, length, "an error of the fake cuDNN");
}
DN_FAKE int cudnnCreate(DnnHandle** handle) {
    *handle = reinterpret_cast<DnnHandle*>(std::make_unique<Handle>().release());
    return kSuccess;
}
DN_FAKE int cudnnDestroy(DnnHandle* handle) {
    std::unique_ptr<Handle>{reinterpret_cast<Handle*>(handle)};
    return kSuccess;
}
DN_FAKE int cudnnSetStream(DnnHandle* handle, StreamHandle* stream) {
    reinterpret_cast<Handle*>(handle)->stream = stream;
    return kSuccess;
}
DN_FAKE int cudnnBackendCreateDescriptor(int type, Descriptor* descriptor) {
    *descriptor = std::make_unique<Node>(type).release();
    return kSuccess;
}
DN_FAKE int cudnnBackendDestroyDescriptor(Descriptor descriptor) {
    std::unique_ptr<Node>{of(descriptor)};
    return kSuccess;
}
DN_FAKE int cudnnBackendSetAttribute(Descriptor descriptor, int attribute, int type, std::int64_t count,
                                     const void* values) {
    Node& node = *of(descriptor);
    if (node.finished) return kBadParam;
    set_value(node, attribute, values, static_cast<std::size_t>(count) * size_of(type));
    return kSuccess;
}
DN_FAKE int cudnnBackendFinalize(Descriptor descriptor) {
    of(descriptor)->finished = true;
    return kSuccess;
}
DN_FAKE int cudnnBackendGetAttribute(Descriptor descriptor, int attribute, int, std::int64_t room, std::int64_t* count,
                                     void* out) {
    const Node& node = *of(descriptor);
    if (attribute == kHeuristicResults) return give_configs(node, room, count, out);
    if (attribute == kConfigEngine) {
        *count = 1;
        of(*static_cast<Descriptor*>(out))->values = node.values;
        return kSuccess;
    }
    if (attribute == kEngineNumericalNote) {
        const FakeEngine& engine = kEngines[engine_number(node)];
        std::vector<int> notes;
        if (engine.tensor_core) notes.push_back(kTensorCore);
        if (engine.nondeterministic) notes.push_back(kNondeterministic);
        return give(notes, room, count, out);
    }
    if (attribute == kPropertiesJson) {
        const std::string json = "{\"deviceName\": \"fake GPU\"}";
        return give(std::vector<char>(json.begin(), json.end()), room, count, out);
    }
    if (attribute == kEngineBehaviorNote) return give(std::vector<int>{}, room, count, out);
    if (attribute == kPlanWorkspaceSize)
        return give(std::vector<std::int64_t>{kEngines[engine_number(node.node(kPlanConfig))].workspace}, room, count,
                    out);
    if (attribute == kEngineGlobalIndex) return give(std::vector<std::int64_t>{engine_number(node)}, room, count, out);
    return kNotSupported;
}
DN_FAKE int cudnnBackendExecute(DnnHandle* handle, Descriptor plan, Descriptor pack) {
    const std::lock_guard<std::recursive_mutex> lock(world().mutex);
    const auto ids = of(pack)->all<std::int64_t>(kPackUniqueIds);
    const auto pointers = of(pack)->all<void*>(kPackDataPointers);
    Pack bound;
    for (std::size_t i = 0; i < ids.size(); ++i) bound.pointers[ids[i]] = pointers.at(i);
    const Node* node = of(plan);
    const int engine = engine_number(node->node(kPlanConfig));
    const auto bytes = static_cast<std::size_t>(kEngines[engine].workspace);
    char* workspace = static_cast<char*>(of(pack)->one<void*>(kPackWorkspace));
    ++world().counts["convolutions"];
    enqueue(reinterpret_cast<Handle*>(handle)->stream, [=] {
        constexpr int kSpent = 0xFF;  // NaN in every type
        need_allocated(workspace, bytes);
        std::memset(workspace, kSpent, bytes);
        execute(*node, bound);
        world().counts["microseconds"] += engine == world().settings["slow_engine"] ? 2 : 1;
        std::memset(workspace, kSpent, bytes);
    });
    return kSuccess;
}
