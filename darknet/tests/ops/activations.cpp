// SPDX-License-Identifier: Apache-2.0
// The activation functions themselves: values by hand, slopes by finite differences.
#include "backends/ref/activations.hpp"

#include <cmath>

#include "layers/layer.hpp"
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

namespace {

constexpr int kPointwise = static_cast<int>(Activation::normalize_channels);  // those before it

struct Value {
    Activation activation;
    float x, y;
};

}  // namespace

TEST_CASE("activations: values computed by hand from their formulas") {
    const Value values[] = {
        {Activation::linear, -3, -3},
        {Activation::logistic, 0.5f, 0.62245933f},
        {Activation::loggy, 0.5f, 0.24491866f},
        {Activation::relu, -1, 0},
        {Activation::elu, -1, -0.63212056f},
        {Activation::selu, -1, 1.0507f * 1.6732f * -0.63212056f},
        {Activation::gelu, 1, 0.8411920f},
        {Activation::relie, -2, -0.02f},
        {Activation::ramp, 2, 2.2f},
        {Activation::tanh, 0.5f, 0.46211716f},
        {Activation::plse, -5, -0.01f},
        {Activation::plse, 5, 1.01f},
        {Activation::plse, 2, 0.75f},
        {Activation::stair, 2.5f, 1},
        {Activation::stair, 3.25f, 1.25f},
        {Activation::hardtan, 1.5f, 1},
        {Activation::lhtan, -2, -0.002f},
        {Activation::lhtan, 3, 1.002f},
        {Activation::swish, 1, 0.7310586f},
        {Activation::mish, 1, 0.8650984f},
        {Activation::mish, 30, 30},
        {Activation::hard_mish, -1, -0.5f},
    };
    for (const Value& value : values) {
        CAPTURE(activation_name(value.activation));
        CAPTURE(value.x);
        CHECK(ref::activate(value.activation, value.x) == doctest::Approx(value.y).epsilon(1e-5));
    }
}

TEST_CASE("activations: the slope is the derivative, by central differences") {
    // Away from the kinks of the piecewise functions; plse and relu6 have theirs at -4, 4 and 6.
    const double step = 1e-3;
    for (int k = 0; k < kPointwise; ++k) {
        const auto activation = static_cast<Activation>(k);
        for (float x : {-5.3f, -1.7f, -0.4f, 0.3f, 0.8f, 2.6f, 6.7f}) {
            CAPTURE(activation_name(activation));
            CAPTURE(x);
            const double above = ref::activate(activation, static_cast<float>(x + step));
            const double below = ref::activate(activation, static_cast<float>(x - step));
            const float y = ref::activate(activation, x);
            const float given_x = ref::slope_needs_input(activation) ? x : NAN;
            const double error = ref::slope(activation, given_x, y) - (above - below) / (2 * step);
            CHECK(std::fabs(error) < 4e-3);  // float32 rounding of the two values
        }
    }
}

TEST_CASE("activations: normalize_channels divides what is positive by its sum at each pixel") {
    Floats x = {1, -2, 3, 4, -5, 4};  // (3 channels, 1, 2)
    ref::activate(Activation::normalize_channels, x.data(), 1, {3, 1, 2});
    const Floats expected = {1 / 4.0001f, 0, 3 / 4.0001f, 4 / 8.0001f, 0, 4 / 8.0001f};
    for (std::size_t k = 0; k < x.size(); ++k) CHECK(x[k] == doctest::Approx(expected[k]));
}

TEST_CASE("activations: the softmax over channels survives large values only with the maximum taken off") {
    Floats x = {1000, 999};
    ref::activate(Activation::normalize_channels_softmax_maxval, x.data(), 1, {2, 1, 1});
    CHECK(x[0] == doctest::Approx(1 / (1 + std::exp(-1.f) + 1e-4f)));
    CHECK(x[1] == doctest::Approx(std::exp(-1.f) / (1 + std::exp(-1.f) + 1e-4f)));
}

TEST_CASE("activations: the gradient across channels is Darknet's") {
    const Floats y = {0.25f, 0, 0.75f};
    Floats delta = {1, 2, 4};  // sum of y * delta: 3.25
    ref::multiply_slope(Activation::normalize_channels, nullptr, y.data(), delta.data(), 1, {3, 1, 1});
    CHECK(delta == Floats{3.25f, 2, 13});
    delta = {1, 2, 4};
    ref::multiply_slope(Activation::normalize_channels_softmax, nullptr, y.data(), delta.data(), 1, {3, 1, 1});
    CHECK(delta == Floats{3.25f, 6.5f, 13});
}

// Darknet's rule, which is not the true Jacobian: the deltas of a pixel times the sum of their products with the
// outputs; the plain variant leaves those of outputs that are 0.
TEST_CASE("activations: the slope of normalize_channels is Darknet's") {
    const float y[] = {0.2f, 0, 0.5f};
    const Shape pixel{3, 1, 1};
    float plain[] = {1, 2, 3}, softmax[] = {1, 2, 3};
    ref::multiply_slope(Activation::normalize_channels, nullptr, y, plain, 1, pixel);
    ref::multiply_slope(Activation::normalize_channels_softmax, nullptr, y, softmax, 1, pixel);
    const float sum = 0.2f * 1 + 0.5f * 3;
    for (int c = 0; c < 3; ++c) {
        CHECK(plain[c] == doctest::Approx(c == 1 ? 2 : (c + 1) * sum));
        CHECK(softmax[c] == doctest::Approx((c + 1) * sum));
    }
}
