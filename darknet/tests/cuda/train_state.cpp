// SPDX-License-Identifier: Apache-2.0
// The state of a training on the GPU of the fake driver: the bits of the host's in every array after every update.
#include "kernels.hpp"

#include <limits>

#include "backends/cuda/layout.hpp"
#include "backends/cuda/train/state.hpp"
#include "backends/host/train_state.hpp"
#include "fake_gpu.hpp"

using namespace dn;
using namespace dn::test;

namespace {

constexpr StateKind kKinds[] = {StateKind::parameters, StateKind::gradients, StateKind::adam_m, StateKind::adam_v,
                                StateKind::ema};

// Two layers with batch norm, of which the second has the weights of the first, and one with biases alone. No count is
// a multiple of what memory is aligned to.
std::string cfg(const std::string& net_keys) {
    return "[net]\nwidth=5\nheight=5\nchannels=3\n" + net_keys +
           "[convolutional]\nfilters=3\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n"
           "[convolutional]\nfilters=3\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\nshare_index=0\n"
           "[convolutional]\nfilters=5\nsize=1\nactivation=linear\n[cost]\n";
}

// The same network's training on the host or on the device.
struct Side {
    explicit Side(const std::string& text, const Backend* backend = nullptr)
        : graph(graph_of(text)), parameters(initial_parameters(graph, 1)) {
        if (backend)
            state = backend->train_state(graph, parameters, 1);
        else
            state = std::make_shared<HostTrainState>(graph, parameters, 2);
        parameters->training = state;
    }
    ~Side() { parameters->training.reset(); }

    Floats get(StateKind kind, int node, Role role) const {
        Floats values(state->count(kind, node, role));
        state->get(kind, node, role, values.data());
        return values;
    }
    cuda::CudaTrainState& device() const { return dynamic_cast<cuda::CudaTrainState&>(*state); }

    Graph graph;
    std::shared_ptr<Parameters> parameters;
    std::shared_ptr<TrainState> state;
};

template <class Visit>
void for_arrays(const Side& side, const Visit& visit) {
    for (const StateKind kind : kKinds)
        for (const Node& node : side.graph.nodes)
            for (const Role role : kRoles) visit(kind, node.index, role);
}

// Random gradients, as a backward pass leaves them; what decays, moments and averages begin with as well.
void fill(const Side& side, std::uint64_t seed, std::initializer_list<StateKind> kinds) {
    for_arrays(side, [&](StateKind kind, int node, Role role) {
        const std::size_t count = side.state->count(kind, node, role);
        if (!count || std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) return;
        Floats values =
            random_values(count, seed * 100 + static_cast<std::uint64_t>(node * 10) + static_cast<std::uint64_t>(role));
        if (kind == StateKind::adam_v || role == Role::variances)
            for (float& value : values) value *= value;
        side.state->set(kind, node, role, values.data());
    });
}

void check_equal(const Side& host, const Side& device) {
    std::size_t values = 0;
    for_arrays(host, [&](StateKind kind, int node, Role role) {
        CAPTURE(static_cast<int>(kind));
        CAPTURE(node);
        CAPTURE(role_name(role));
        const Floats expected = host.get(kind, node, role);
        CHECK(same_bits(device.get(kind, node, role), expected));
        values += expected.size();
    });
    CHECK(values > 0);
}

UpdateRule rule_of(bool adam, std::int64_t iteration, Ema ema) {
    const float m_scale = 10 / static_cast<float>(iteration), v_scale = 1000 / static_cast<float>(iteration);
    UpdateRule rule{adam, 0.9f, 0.9f, 0.999f, 1e-6f, ema, 0.97f, m_scale, v_scale, 3, {}};
    for (const Role role : kTrainedRoles) {
        const bool weights = role == Role::weights;
        if (role != Role::scales || iteration % 2)  // an array that no span names stays as it is
            rule.spans.push_back({0, role, 0.01f, weights ? 0.3f : 0, weights ? 0.8f : 0, false, false});
        if (role != Role::scales)
            rule.spans.push_back({2, role, 0.02f, 0.1f, 0, weights && !adam, role == Role::biases && iteration == 2});
    }
    return rule;
}

Floats on_device(const void* address, std::size_t count, DType type) {
    const cuda::Stream stream(std::make_shared<cuda::Device>(FakeGpu::libraries(), 0));
    std::vector<std::byte> packed(count * bytes(type));
    stream.download(address, packed.data(), packed.size());
    stream.synchronize();
    Floats values(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = cuda::load_value(packed.data(), i, type);
    return values;
}

}  // namespace

TEST_CASE("cuda state: updates have the bits of the host's, by SGD and Adam, with decay, clip, freezing and averages") {
    const FakeGpu gpu;
    const auto backend = FakeGpu::backend();
    for (const bool adam : {false, true}) {
        const std::string text = cfg(adam ? "adam=1\n" : "");
        const Side host(text), device(text, backend.get());
        check_equal(host, device);
        for (const Side* side : {&host, &device})
            fill(*side, 1, {StateKind::parameters, StateKind::adam_m, StateKind::adam_v});
        const Ema averages[] = {Ema::off, Ema::start, Ema::start, Ema::blend, Ema::adopt, Ema::blend};
        for (int iteration = 1; iteration <= 6; ++iteration) {
            for (const Side* side : {&host, &device}) {
                fill(*side, static_cast<std::uint64_t>(iteration) + 1, {StateKind::gradients});
                side->state->update(rule_of(adam, iteration, averages[iteration - 1]));
            }
            CAPTURE(iteration);
            check_equal(host, device);
        }
    }
}

TEST_CASE("cuda state: an average that is set begins with zeros in the other arrays") {
    const FakeGpu gpu;
    const auto backend = FakeGpu::backend();
    const Side host(cfg("")), device(cfg(""), backend.get());
    const Floats average(5, 2.0f);
    for (const Side* side : {&host, &device}) side->state->set(StateKind::ema, 2, Role::biases, average.data());
    check_equal(host, device);
}

TEST_CASE("cuda state: rolling statistics of a mini-batch become the network's when it is kept, and only then") {
    const FakeGpu gpu;
    const auto backend = FakeGpu::backend();
    const Side device(cfg(""), backend.get());
    fill(device, 1, {StateKind::parameters});
    cuda::CudaTrainState& state = device.device();
    const Floats before = device.get(StateKind::parameters, 0, Role::means), moved{7, 8, 9};
    const cuda::Stream stream(std::make_shared<cuda::Device>(FakeGpu::libraries(), 0));
    const auto forward = [&] {
        CHECK(same_bits(on_device(state.rolling(0, Role::means), 3, DType::f32), before));
        stream.upload(moved.data(), state.rolling(1, Role::means), 3 * sizeof(float));  // the layer that shares them
        stream.synchronize();
    };
    state.begin_batch(64);
    forward();
    CHECK(device.get(StateKind::parameters, 0, Role::means) == before);
    state.begin_batch(64);  // the mini-batch failed, and is repeated
    forward();
    CHECK(device.parameters->seen == 0);
    state.keep_batch();
    CHECK(device.get(StateKind::parameters, 0, Role::means) == moved);
    CHECK(device.parameters->seen == 64);

    state.begin_share(96);
    Floats share(3);
    state.get_share(0, Role::means, share.data());
    CHECK(share == Floats(3));
    CHECK(device.get(StateKind::parameters, 0, Role::means) == moved);
}

TEST_CASE("cuda state: layers that share weights have one address, what a layer has not has none") {
    const FakeGpu gpu;
    const auto backend = FakeGpu::backend();
    const Side device(cfg(""), backend.get());
    const cuda::CudaTrainState& state = device.device();
    CHECK(state.parameters(0, Role::weights));
    CHECK(state.parameters(1, Role::weights) == state.parameters(0, Role::weights));
    CHECK(state.gradients(1, Role::scales) == state.gradients(0, Role::scales));
    CHECK(state.rolling(1, Role::variances) == state.rolling(0, Role::variances));
    CHECK(state.rolling(0, Role::variances) != state.parameters(0, Role::variances));
    CHECK(state.gradients(0, Role::means) == nullptr);
    CHECK(state.parameters(2, Role::scales) == nullptr);
    CHECK(state.rolling(2, Role::means) == nullptr);
    CHECK(on_device(state.unscale(), 1, DType::f32) == Floats{1});
}

TEST_CASE("cuda state: packed filters follow the weights") {
    const FakeGpu gpu;
    const auto backend = FakeGpu::backend();
    const Side device(cfg(""), backend.get());
    cuda::CudaTrainState& state = device.device();
    for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
        const cuda::PackedFilters as{type, 3, 9};
        const void* packed = state.packed(1, as);  // with the weights of layer 0
        CHECK(state.packed(0, as) == packed);
        const auto check = [&] {
            const Floats weights = device.get(StateKind::parameters, 0, Role::weights);
            Floats expected(weights.size());
            for (int k = 0; k < 3; ++k)
                for (int c = 0; c < 3; ++c)
                    for (int at = 0; at < 9; ++at) expected[(k * 9 + at) * 3 + c] = weights[(k * 3 + c) * 9 + at];
            const Storage storage = type == DType::f32   ? Storage::f32
                                    : type == DType::f16 ? Storage::f16
                                                         : Storage::bf16;
            CHECK(same_bits(on_device(packed, weights.size(), type), rounded(storage, expected)));
        };
        check();
        fill(device, 1, {StateKind::parameters, StateKind::gradients});
        check();
        state.update(rule_of(false, 1, Ema::off));
        check();
    }
}

TEST_CASE("cuda state: the parameters of the host are old until they are read, and then have the device's bits") {
    const FakeGpu gpu;
    const auto backend = FakeGpu::backend();
    const Side device(cfg(""), backend.get());
    const auto check = [&](bool weights, bool statistics) {
        Parameters& host = *device.parameters;
        CHECK((host.host_weights_version != host.weights_version) == weights);
        CHECK((host.host_statistics_version != host.statistics_version) == statistics);
        const LockedParameters read = read_parameters(device.graph, host);
        for (const Role role : kRoles)
            CHECK(same_bits(read->nodes[0].array(role), device.get(StateKind::parameters, 0, role)));
    };
    check(false, false);
    fill(device, 1, {StateKind::gradients});
    check(false, false);
    device.state->update(rule_of(false, 1, Ema::off));
    check(true, false);
    device.state->begin_batch(1);
    device.state->keep_batch();
    check(false, true);
    fill(device, 2, {StateKind::parameters});
    check(true, true);
}

TEST_CASE("cuda state: the first array that is not finite is named") {
    const FakeGpu gpu;
    const auto backend = FakeGpu::backend();
    const Side device(cfg("adam=1\n"), backend.get());
    CHECK(device.state->first_non_finite().empty());
    const auto broken = [&](StateKind kind, int node, Role role) {
        const Floats good = device.get(kind, node, role);
        Floats values = good;
        values.back() = role == Role::scales ? std::numeric_limits<float>::infinity() : NAN;
        device.state->set(kind, node, role, values.data());
        std::string found = device.state->first_non_finite();
        device.state->set(kind, node, role, good.data());
        return found;
    };
    CHECK_CONTAINS(broken(StateKind::gradients, 0, Role::scales), "its gradient of scales is not finite (layer 0)");
    CHECK_CONTAINS(broken(StateKind::parameters, 2, Role::weights), "its weights are not finite (layer 2)");
    CHECK_CONTAINS(broken(StateKind::parameters, 0, Role::variances), "its variances are not finite (layer 0)");
    CHECK(device.state->first_non_finite().empty());
}

TEST_CASE("cuda state: the bytes that it says it takes are those that it takes") {
    const FakeGpu gpu;
    const auto backend = FakeGpu::backend();
    for (const char* keys : {"", "adam=1\n", "ema_alpha=0.9\n"}) {
        const long long before = gpu.count("used");
        const Side device(cfg(keys), backend.get());
        device.device().packed(0, {DType::f16, 3, 9});
        device.device().packed(2, {DType::f16, 3, 1});
        device.state->begin_update();
        if (device.graph.net.ema_alpha > 0) device.state->update(rule_of(false, 1, Ema::start));
        const long long taken = gpu.count("used") - before;
        const auto said = static_cast<long long>(cuda::CudaTrainState::bytes(device.graph, Precision::f16));
        CHECK(taken >= said);
        CHECK(taken <= said + 64);  // counters
    }
}
