// SPDX-License-Identifier: Apache-2.0
// kernels/batch_norm.cuh against ref.
#include "kernels.hpp"

#include "backends/cuda/kernels/batch_norm.cuh"
#include "backends/ref/activations.hpp"
#include "backends/ref/batch_norm.hpp"

using namespace dn;
using namespace dn::test;

namespace {

constexpr int kBatch = 3, kChunks = 4;
constexpr Shape kShape{45, 6, 7};

struct Arrays {
    NodeParameters parameters, rolling, gradients;
    Arrays() {
        const auto values = [](std::uint64_t seed) { return random_values(kShape.c, seed, 1.5f); };
        parameters.scales = values(1);
        parameters.biases = values(2);
        rolling.means = values(3);
        rolling.variances = Floats(kShape.c, 2.0f);
        gradients.scales = values(4);
        gradients.biases = values(5);
    }
};

struct Result {
    Floats y, means, variances, dx, scale_gradients, bias_gradients;
};

Floats joined(const Result& result) {
    Floats all;
    for (const Floats* part :
         {&result.y, &result.means, &result.variances, &result.dx, &result.scale_gradients, &result.bias_gradients})
        all.insert(all.end(), part->begin(), part->end());
    return all;
}

Result by_ref(const Arrays& arrays, Activation activation, const Floats& x, const Floats& delta) {
    Arrays own = arrays;
    ref::BatchNorm batch_norm;
    Floats z = x;
    batch_norm.forward(own.parameters, own.rolling, z.data(), kBatch, kShape);
    Floats y = z, dx = delta;
    ref::activate(activation, y.data(), kBatch, kShape);
    ref::multiply_slope(activation, z.data(), y.data(), dx.data(), kBatch, kShape);
    batch_norm.backward(own.parameters, own.gradients, dx.data(), kBatch, kShape);
    return {y, own.rolling.means, own.rolling.variances, dx, own.gradients.scales, own.gradients.biases};
}

class OnDevice {
public:
    OnDevice(Storage storage, const Arrays& arrays, const Floats& x)
        : storage_(storage),
          src_(storage, kBatch, kShape, x, 3),
          scales_(arrays.parameters.scales),
          biases_(arrays.parameters.biases),
          rolling_means_(arrays.rolling.means),
          rolling_variances_(arrays.rolling.variances),
          scale_gradients_(arrays.gradients.scales),
          bias_gradients_(arrays.gradients.biases) {}

    Floats forward(int activation, const LaunchOptions& options) {
        launch_kernel(cuda::kernel::moments, storage_, kTiles, {src_.view(), partial_.data(), src_.pixels(), kShape.c},
                      options);
        launch_kernel(cuda::kernel::statistics, storage_, {1, 1, 1},
                      {src_.view(), partial_.data(), mean_.data(), inverse_.data(), rolling_means_.data(),
                       rolling_variances_.data(), src_.pixels(), kShape.c, kChunks},
                      options);
        DeviceTensor dst(storage_, kBatch, kShape);
        launch_kernel(cuda::kernel::normalize, storage_, grid_for(src_.pixels() * kShape.c),
                      {src_.view(), dst.view(), by(), src_.pixels(), kShape.c, activation}, options);
        return dst.read();
    }

    Floats backward(int activation, const Floats& delta, const float* unscale, const LaunchOptions& options) {
        DeviceTensor ddst(storage_, kBatch, kShape, delta, 1);
        const cuda::NormalizeBackwardArgs args{
            src_.view(),   ddst.view(), ddst.view(), by(), partial_.data(), mean_delta_.data(), mean_product_.data(),
            src_.pixels(), kShape.c,    activation,  false};
        launch_kernel(cuda::kernel::normalize_sums, storage_, kTiles, args, options);
        launch_kernel(cuda::kernel::normalize_gradients, storage_, {1, 1, 1},
                      {partial_.data(), bias_gradients_.data(), scale_gradients_.data(), mean_delta_.data(),
                       mean_product_.data(), unscale, src_.pixels(), kShape.c, kChunks},
                      options);
        launch_kernel(cuda::kernel::normalize_backward, storage_, grid_for(src_.pixels() * kShape.c), args, options);
        return ddst.read();
    }

    Result result(const Floats& y, const Floats& dx) const {
        return {y,  rolling_means_.read(),   rolling_variances_.read(),
                dx, scale_gradients_.read(), bias_gradients_.read()};
    }

private:
    static constexpr cuda::Dim3 kTiles{2, kChunks, 1};
    cuda::Normalization by() { return {mean_.data(), inverse_.data(), scales_.data(), biases_.data()}; }

    Storage storage_;
    DeviceTensor src_;
    DeviceArray<float> scales_, biases_, rolling_means_, rolling_variances_, scale_gradients_, bias_gradients_;
    DeviceArray<float> partial_{std::size_t{2} * kShape.c * kChunks};
    DeviceArray<float> mean_{kShape.c}, inverse_{kShape.c}, mean_delta_{kShape.c}, mean_product_{kShape.c};
};

Floats values_far_from_zero() {
    Floats x = random_values(kBatch * kShape.size(), 8);
    for (std::size_t k = 0; k < x.size(); ++k) x[k] += static_cast<float>(k / 42 % 5) * 8;
    return x;
}

}  // namespace

TEST_CASE("kernels batch norm: statistics, outputs, gradients and deltas are those of ref") {
    const Arrays arrays;
    for (const Storage storage : kStorages)
        for (const Activation activation : {Activation::linear, Activation::leaky, Activation::mish}) {
            CAPTURE(suffix(storage));
            const int code = static_cast<int>(activation);
            const Floats x = rounded(storage, values_far_from_zero());
            const Floats delta = rounded(storage, random_values(x.size(), 9));
            Result found;
            under_every_schedule([&](LaunchOptions options) {
                OnDevice device(storage, arrays, x);
                const Floats y = device.forward(code, options);
                found = device.result(y, device.backward(code, delta, nullptr, options));
                return joined(found);
            });
            const Result expected = by_ref(arrays, activation, x, delta);
            CHECK(largest_error(found.means, expected.means) < 1e-6f);
            CHECK(largest_error(found.variances, expected.variances) < 1e-6f);
            CHECK(largest_error(found.y, expected.y) < 2 * rounding(storage) + 2e-6f);
            CHECK(largest_error(found.bias_gradients, expected.bias_gradients) < 1e-5f);
            CHECK(largest_error(found.scale_gradients, expected.scale_gradients) < 1e-5f);
            CHECK(largest_error(found.dx, expected.dx) < 2 * rounding(storage) + 1e-5f);
        }
}

TEST_CASE("kernels batch norm: a barrier less in the sums changes results with the order of threads") {
    const Arrays arrays;
    const Floats x = values_far_from_zero(), whole = [&] {
        OnDevice device(Storage::f32, arrays, x);
        return device.forward(0, {});
    }();
    const auto differs = [&](Schedule schedule) {
        OnDevice device(Storage::f32, arrays, x);
        return !same_bits(device.forward(0, {schedule, 1}), whole);
    };
    CHECK(std::any_of(std::begin(kSchedules), std::end(kSchedules), differs));
}

TEST_CASE("kernels batch norm: gradients are divided by the scale of the loss") {
    const Arrays arrays;
    const Floats x = values_far_from_zero(), delta = random_values(x.size(), 9);
    const auto gradients = [&](const float* unscale) {
        OnDevice device(Storage::f32, arrays, x);
        device.forward(0, {});
        return device.result({}, device.backward(0, delta, unscale, {}));
    };
    DeviceArray<float> half(Floats{0.5f});
    const Result whole = gradients(nullptr), halved = gradients(half.data());
    CHECK(same_bits(whole.dx, halved.dx));
    for (int c = 0; c < kShape.c; ++c) {
        CHECK(halved.bias_gradients[c] - arrays.gradients.biases[c] ==
              doctest::Approx(0.5f * (whole.bias_gradients[c] - arrays.gradients.biases[c])).epsilon(1e-4));
        CHECK(halved.scale_gradients[c] - arrays.gradients.scales[c] ==
              doctest::Approx(0.5f * (whole.scale_gradients[c] - arrays.gradients.scales[c])).epsilon(1e-4));
    }
}

TEST_CASE("kernels batch norm: rolling statistics normalise in inference; without them there are biases alone") {
    ReferenceLayer layer("[batchnorm]\n", kShape, kBatch, false);
    Arrays arrays;
    NodeParameters& parameters = layer.parameters();
    parameters = arrays.parameters;
    parameters.means = arrays.rolling.means;
    parameters.variances = random_values(kShape.c, 6, 0.9f);
    for (float& variance : parameters.variances) variance += 1;
    layer.fill(Storage::f32);
    layer.forward();

    DeviceTensor tensor(Storage::f32, kBatch, kShape, layer.src[0]);
    DeviceArray<float> variances(parameters.variances), means(parameters.means), inverse(kShape.c);
    DeviceArray<float> scales(parameters.scales), biases(parameters.biases);
    launch_kernel(cuda::kernel::inverse_deviation, Storage::f32, {1, 1, 1},
                  {variances.data(), inverse.data(), kShape.c}, {});
    const auto normalize = [&](const cuda::Normalization& by) {
        launch_kernel(cuda::kernel::normalize, Storage::f32, {2, 1, 1},
                      {tensor.view(), tensor.view(), by, tensor.pixels(), kShape.c, 0}, {});
        return tensor.read();
    };
    CHECK(largest_error(normalize({means.data(), inverse.data(), scales.data(), biases.data()}), layer.dst) < 1e-6f);
    const Floats shifted = normalize({nullptr, nullptr, nullptr, biases.data()});
    for (std::size_t k = 0; k < shifted.size(); ++k)
        CHECK(shifted[k] == doctest::Approx(layer.dst[k] + parameters.biases[k / 42 % kShape.c]));
}
