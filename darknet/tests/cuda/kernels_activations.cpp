// SPDX-License-Identifier: Apache-2.0
// kernels/activations.cuh and the storage types of kernels/portable.cuh.
#include "kernels.hpp"

#include "backends/cuda/kernels/activations.cuh"
#include "backends/ref/activations.hpp"
#include "layers/layer.hpp"

using namespace dn;
using namespace dn::test;

namespace {

constexpr int kPointwise = static_cast<int>(Activation::normalize_channels);  // those before it
constexpr int kActivations = static_cast<int>(Activation::normalize_channels_softmax_maxval) + 1;
constexpr int kBatch = 2;
constexpr Shape kShape{5, 9, 7};

// Through each kink and the ranges between them.
Floats arguments() {
    Floats values = random_values(kBatch * kShape.size(), 3, 7);
    const Floats special = {0, -0.0f, 1, -1, 2, -2, 4, -4, 6, 25, -25};
    std::copy(special.begin(), special.end(), values.begin());
    return values;
}

// What ref makes of the values that the device holds.
Floats activated_by_ref(Activation activation, Floats x) {
    ref::activate(activation, x.data(), kBatch, kShape);
    return x;
}

Floats activate_on_device(Storage storage, int activation, const Floats& x) {
    return under_every_schedule([&](LaunchOptions options) {
        DeviceTensor src(storage, kBatch, kShape, x, 3), dst(storage, kBatch, kShape);
        if (activation < kPointwise)
            launch_kernel(cuda::kernel::activate, storage, grid_for(dst.pixels() * dst.channels()),
                          {src.view(), dst.view(), kNoView, nullptr, dst.pixels(), dst.channels(), activation, 0},
                          options);
        else
            launch_kernel(cuda::kernel::normalize_channels, storage, grid_for(dst.pixels()),
                          {src.view(), dst.view(), dst.pixels(), dst.channels(), activation}, options);
        return dst.read();
    });
}

Floats slope_on_device(Storage storage, int activation, const Floats& x, const Floats& y, const Floats& delta,
                       float unscale = 1) {
    return under_every_schedule([&](LaunchOptions options) {
        DeviceArray<float> factor(Floats{unscale});
        DeviceTensor src(storage, kBatch, kShape, x), dst(storage, kBatch, kShape, y, 2);
        DeviceTensor ddst(storage, kBatch, kShape, delta);
        if (activation < kPointwise)
            launch_kernel(
                cuda::kernel::activate_backward, storage, grid_for(dst.pixels() * dst.channels()),
                {src.view(), dst.view(), ddst.view(), ddst.view(), dst.pixels(), dst.channels(), activation, false},
                options);
        else
            launch_kernel(cuda::kernel::normalize_channels_backward, storage, grid_for(dst.pixels()),
                          {dst.view(), ddst.view(), ddst.view(), dst.pixels(), dst.channels(), activation, false,
                           unscale == 1 ? nullptr : factor.data()},
                          options);
        return ddst.read();
    });
}

}  // namespace

TEST_CASE("kernels activations: every function and slope is that of ref") {
    for (const Storage storage : kStorages)
        for (int k = 0; k < kActivations; ++k) {
            const auto activation = static_cast<Activation>(k);
            CAPTURE(suffix(storage));
            CAPTURE(activation_name(activation));
            Floats x = rounded(storage, arguments());
            if (k == static_cast<int>(Activation::normalize_channels_softmax))  // which has no defence
                for (float& value : x) value = std::min(value, 8.0f);
            const Floats y = rounded(storage, activated_by_ref(activation, x));
            CHECK(largest_error(activate_on_device(storage, k, x), y) < 4 * rounding(storage));

            const Floats delta = rounded(storage, random_values(x.size(), 4));
            Floats expected = delta;
            ref::multiply_slope(activation, x.data(), y.data(), expected.data(), kBatch, kShape);
            CHECK(largest_error(slope_on_device(storage, k, x, y, delta), expected) < 6 * rounding(storage));
        }
}

TEST_CASE("kernels activations: a scaled delta is scaled behind every slope by the same factor") {
    for (int k = 0; k < kActivations; ++k) {
        CAPTURE(activation_name(static_cast<Activation>(k)));
        const Floats x = arguments(), y = activated_by_ref(static_cast<Activation>(k), x);
        Floats delta = random_values(x.size(), 4), expected = slope_on_device(Storage::f32, k, x, y, delta);
        for (Floats* values : {&delta, &expected})
            for (float& value : *values) value *= 1024;
        CHECK(slope_on_device(Storage::f32, k, x, y, delta, 1.0f / 1024) == expected);
    }
}

TEST_CASE("kernels activations: a bias before, a residual and its activation behind, in place and added to") {
    for (const Storage storage : kStorages) {
        CAPTURE(suffix(storage));
        const Floats x = rounded(storage, arguments()), other = rounded(storage, random_values(x.size(), 5));
        const Floats bias = random_values(kShape.c, 6);
        const Floats found = under_every_schedule([&](LaunchOptions options) {
            DeviceTensor src(storage, kBatch, kShape, x), residual(storage, kBatch, kShape, other, 1);
            DeviceArray<float> biases(bias);
            launch_kernel(cuda::kernel::activate, storage, grid_for(src.pixels() * src.channels()),
                          {src.view(), src.view(), residual.view(), biases.data(), src.pixels(), src.channels(),
                           cuda::kMish, cuda::kLeaky},
                          options);
            return src.read();
        });
        Floats expected = x;
        const std::size_t plane = std::size_t{1} * kShape.h * kShape.w;
        for (std::size_t k = 0; k < x.size(); ++k) {
            const float linear = ref::activate(Activation::mish, x[k] + bias[k / plane % kShape.c]) + other[k];
            expected[k] = ref::activate(Activation::leaky, linear);
        }
        CHECK(largest_error(found, expected) < 4 * rounding(storage));
    }
}

TEST_CASE("kernels activations: a slope adds to the delta of another tensor on request") {
    const Floats x = random_values(kBatch * kShape.size(), 1), y = activated_by_ref(Activation::leaky, x);
    DeviceTensor dst(Storage::f32, kBatch, kShape, y), delta(Storage::f32, kBatch, kShape, x);
    DeviceTensor target(Storage::f32, kBatch, kShape, y, 4);
    launch_kernel(cuda::kernel::activate_backward, Storage::f32, {1, 1, 1},
                  {kNoView, dst.view(), delta.view(), target.view(), dst.pixels(), dst.channels(), cuda::kLeaky, true},
                  {});
    const Floats found = target.read();
    for (std::size_t k = 0; k < x.size(); ++k) CHECK(found[k] == y[k] + x[k] * (y[k] > 0 ? 1 : 0.1f));
}

TEST_CASE("kernels storage: every half widens exactly and narrows to itself") {
    for (unsigned bits = 0; bits < 65536; ++bits) {
        const cuda::f16 half{static_cast<unsigned short>(bits)};
        const int exponent = bits >> 10 & 31, fraction = bits & 1023;
        const float found = cuda::widen(half);
        cuda::f16 back{};
        cuda::narrow(found, &back);
        if (exponent == 31 && fraction != 0) {
            if (!std::isnan(found) || !std::isnan(cuda::widen(back))) FAIL(bits);
            continue;
        }
        const double magnitude = exponent == 31  ? INFINITY
                                 : exponent == 0 ? std::ldexp(fraction, -24)
                                                 : std::ldexp(1024 + fraction, exponent - 25);
        if (found != static_cast<float>(bits & 0x8000u ? -magnitude : magnitude) || back.bits != bits) FAIL(bits);
    }
}

TEST_CASE("kernels storage: rounding is to the nearest, ties to even") {
    const auto half = [](float value) {
        cuda::f16 stored{};
        cuda::narrow(value, &stored);
        return cuda::widen(stored);
    };
    const auto brain = [](float value) {
        cuda::bf16 stored{};
        cuda::narrow(value, &stored);
        return cuda::widen(stored);
    };
    const float step = 1.0f / 1024, coarse = 1.0f / 128;  // of numbers from 1 on
    CHECK(half(1 + step / 2) == 1);
    CHECK(half(1 + 1.5f * step) == 1 + 2 * step);
    CHECK(half(1 + 0.51f * step) == 1 + step);
    CHECK(half(65519) == 65504);
    CHECK(half(65520) == INFINITY);
    CHECK(half(-1e6f) == -INFINITY);
    CHECK(half(2.9e-8f) == 0);  // below half of the smallest
    CHECK(half(3.1e-8f) == std::ldexp(1.0f, -24));
    CHECK(brain(1 + coarse / 2) == 1);
    CHECK(brain(1 + 1.5f * coarse) == 1 + 2 * coarse);
    CHECK(brain(-(1 + 0.51f * coarse)) == -(1 + coarse));
    CHECK(brain(3.4e38f) == INFINITY);
    CHECK(std::isnan(half(NAN)));
    CHECK(std::isnan(brain(NAN)));
    for (std::uint64_t i = 0; i < 100000; ++i) {  // against the neighbours, over the exponents of both
        const float value = std::ldexp(2 * uniform(1, i) - 1, static_cast<int>(i % 40) - 24);
        if (std::fabs(half(value) - value) > std::max(std::fabs(value) / 2048, std::ldexp(1.0f, -25))) FAIL(value);
        if (std::fabs(brain(value) - value) > std::fabs(value) / 256) FAIL(value);
    }
}

TEST_CASE("kernels random: the numbers are those of the CPU") {
    for (std::uint64_t i = 0; i < 1000; ++i) CHECK(cuda::uniform(mix(i), i * i) == uniform(mix(i), i * i));
}
