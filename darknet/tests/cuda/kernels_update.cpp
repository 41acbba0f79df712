// SPDX-License-Identifier: Apache-2.0
// kernels/update.cuh: the bits of the CPU's updates.
#include "kernels.hpp"

#include <limits>

#include "backends/cuda/kernels/update.cuh"
#include "backends/host/train_state.hpp"

using namespace dn;
using namespace dn::test;

namespace {

constexpr std::size_t kCount = 12 * 3 * 9;  // weights of the layer below

// The CPU's state of one layer's weights, filled with numbers.
class HostUpdate {
public:
    HostUpdate(bool adam, float ema_alpha)
        : graph_(graph_of(text("[net]\nwidth=8\nheight=8\nchannels=3\nadam=", adam ? 1 : 0, "\nema_alpha=", ema_alpha,
                               "\n[convolutional]\nfilters=12\nsize=3\n"))),
          parameters_(initial_parameters(graph_, 1)),
          state_(graph_, parameters_, 1) {
        for (const StateKind kind : kinds(adam)) {
            Floats values = random_values(kCount, static_cast<std::uint64_t>(kind), 1.5f);
            if (kind == StateKind::adam_v)
                for (float& value : values) value *= value;
            state_.set(kind, 0, Role::weights, values.data());
        }
    }

    static std::vector<StateKind> kinds(bool adam) {
        if (adam) return {StateKind::parameters, StateKind::gradients, StateKind::adam_m, StateKind::adam_v};
        return {StateKind::parameters, StateKind::gradients};
    }
    Floats get(StateKind kind) const {
        Floats values(kCount);
        state_.get(kind, 0, Role::weights, values.data());
        return values;
    }
    void update(const UpdateRule& rule) { state_.update(rule); }
    void set(StateKind kind, const Floats& values) { state_.set(kind, 0, Role::weights, values.data()); }

private:
    Graph graph_;
    std::shared_ptr<Parameters> parameters_;
    HostTrainState state_;
};

UpdateRule rule_of(bool adam, const UpdateSpan& span) {
    const auto correction = [](double beta) { return static_cast<float>(1 / (1 - std::pow(beta, 7.0))); };
    return {adam, 0.9f, 0.9f, 0.999f, 1e-6f, Ema::off, 0, correction(0.9f), correction(0.999f), 3, {span}};
}

Floats joined(const std::vector<Floats>& parts) {
    Floats all;
    for (const Floats& part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
}

}  // namespace

TEST_CASE("kernels update: SGD has the bits of the CPU's, with decay, clip and clamped steps") {
    for (const bool clamp_step : {false, true})
        for (const float clip : {0.0f, 0.8f}) {
            HostUpdate host(false, 0);
            const Floats weights = host.get(StateKind::parameters), gradients = host.get(StateKind::gradients);
            const UpdateSpan span{0, Role::weights, 0.013f, 0.0005f, clip, clamp_step, false};
            const UpdateRule rule = rule_of(false, span);
            host.update(rule);
            const Floats found = under_every_schedule([&](LaunchOptions options) {
                DeviceArray<float> w(weights), g(gradients);
                launch_kernel(cuda::kernel::sgd, Storage::f32, {1, 1, 1},
                              {w.data(), g.data(), kCount, span.decay, span.rate / static_cast<float>(rule.images),
                               rule.momentum, clip, clamp_step},
                              options);
                return joined({w.read(), g.read()});
            });
            CHECK(same_bits(found, joined({host.get(StateKind::parameters), host.get(StateKind::gradients)})));
            CHECK_FALSE(same_bits(found, joined({weights, gradients})));
        }
}

TEST_CASE("kernels update: Adam has the bits of the CPU's") {
    for (const float clip : {0.0f, 0.8f}) {
        HostUpdate host(true, 0);
        std::vector<Floats> before, after;
        for (const StateKind kind : HostUpdate::kinds(true)) before.push_back(host.get(kind));
        const UpdateSpan span{0, Role::weights, 0.013f, 0.0005f, clip, false, false};
        const UpdateRule rule = rule_of(true, span);
        host.update(rule);
        for (const StateKind kind : HostUpdate::kinds(true)) after.push_back(host.get(kind));
        const Floats found = under_every_schedule([&](LaunchOptions options) {
            DeviceArray<float> w(before[0]), g(before[1]), m(before[2]), v(before[3]);
            launch_kernel(cuda::kernel::adam, Storage::f32, {1, 1, 1},
                          {w.data(), g.data(), m.data(), v.data(), kCount, span.decay, rule.beta1, rule.beta2,
                           span.rate, rule.m_scale, rule.v_scale, rule.epsilon, clip},
                          options);
            return joined({w.read(), g.read(), m.read(), v.read()});
        });
        CHECK(same_bits(found, joined(after)));
    }
}

TEST_CASE("kernels update: the moving average has the bits of the CPU's") {
    HostUpdate host(false, 0.99f);
    const Floats average = random_values(kCount, 11);
    host.set(StateKind::ema, average);
    UpdateRule rule = rule_of(false, {0, Role::weights, 0.013f, 0, 0, false, false});
    rule.ema = Ema::blend;
    rule.ema_alpha = 0.99f;
    host.update(rule);
    DeviceArray<float> found(average), values(host.get(StateKind::parameters));
    launch_kernel(cuda::kernel::blend, Storage::f32, {1, 1, 1}, {found.data(), values.data(), kCount, 0.99f}, {});
    CHECK(same_bits(found.read(), host.get(StateKind::ema)));
}

TEST_CASE("kernels update: one value that is not finite is found, wherever it is; NaN passes a clip") {
    const auto found_in = [](const Floats& values) {
        DeviceArray<float> device(values);
        DeviceArray<int> flag(std::vector<int>{0});
        launch_kernel(cuda::kernel::find_non_finite, Storage::f32, {2, 1, 1},
                      {device.data(), static_cast<long long>(values.size()), flag.data()}, {});
        return flag.read()[0];
    };
    Floats values(1000, std::numeric_limits<float>::max());
    CHECK(found_in(values) == 0);
    for (const float bad : {NAN, INFINITY, -INFINITY})
        for (const std::size_t at : {0, 511, 999}) {
            Floats broken = values;
            broken[at] = bad;
            CHECK(found_in(broken) == 1);
        }
    DeviceArray<float> w(Floats{NAN}), g(Floats{1});
    launch_kernel(cuda::kernel::sgd, Storage::f32, {1, 1, 1}, {w.data(), g.data(), 1, 0, 1, 1, 0.5f, true}, {});
    CHECK(std::isnan(w.read()[0]));
}

TEST_CASE("kernels update: filters are packed channels last, and their gradients come back") {
    const Floats filters = random_values(12 * 5 * 6, 3);
    for (const Storage storage : kStorages) {
        const Floats expected = rounded(storage, filters);
        DeviceArray<float> planes(filters), sums(Floats(filters.size(), 1.0f)), scale(Floats{0.5f});
        DeviceTensor packed(storage, 12, {5, 2, 3});  // a filter as an image
        const cuda::Dim3 grid = grid_for(360);
        launch_kernel(cuda::kernel::pack_filters, storage, grid, {planes.data(), packed.view().data, 12, 5, 6, nullptr},
                      {});
        CHECK(same_bits(packed.read(), expected));
        launch_kernel(cuda::kernel::add_filter_gradients, storage, grid,
                      {sums.data(), packed.view().data, 12, 5, 6, scale.data()}, {});
        const Floats found = sums.read();
        for (std::size_t k = 0; k < found.size(); ++k) CHECK(found[k] == 1 + 0.5f * expected[k]);
    }
}
