// SPDX-License-Identifier: Apache-2.0
// [convolutional] by hand: padding, strides, groups, dilation, batch-norm, blur, shared weights, and its errors.
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

namespace {

// Sets the weights of layer 0 and leaves the biases 0.
std::function<void(Parameters&)> weights(const Floats& values) {
    return [values](Parameters& parameters) { parameters.nodes[0].weights = values; };
}

const Floats kOnes9 = Floats(9, 1.0f);

}  // namespace

TEST_CASE("convolutional: a window of ones adds up the neighbours, zero outside the image") {
    check_op({"[convolutional]\nsize=3\npad=1\nactivation=linear\n", {1, 3, 3}, ramp(9, 1), weights(kOnes9)},
             {12, 21, 16, 27, 45, 33, 24, 39, 28});
}

TEST_CASE("convolutional: it is a cross-correlation, not flipped") {
    check_op({"[convolutional]\nsize=2\nactivation=linear\n", {1, 2, 3}, ramp(6, 1), weights({1, 10, 100, 1000})},
             {1 + 20 + 400 + 5000, 2 + 30 + 500 + 6000});
}

TEST_CASE("convolutional: strides of their own across and down") {
    const std::string section = "[convolutional]\nsize=1\nstride_x=2\nstride_y=3\nactivation=linear\n";
    check_op({section, {1, 4, 5}, ramp(20), weights({2})}, {0, 4, 8, 30, 34, 38});
}

TEST_CASE("convolutional: each group of filters sees its own channels") {
    const std::string section = "[convolutional]\nfilters=2\ngroups=2\nactivation=linear\n";
    check_op({section, {4, 1, 1}, {1, 2, 3, 4}, weights({1, 10, 100, 1000})}, {21, 4300});
}

TEST_CASE("convolutional: dilation spreads the window") {
    const std::string section = "[convolutional]\nsize=3\npad=1\ndilation=2\nactivation=linear\n";
    Floats middle(25, 0.0f);
    for (int i : {0, 2, 4})
        for (int j : {0, 2, 4}) middle[i * 5 + j] = 1;
    // Of the output only the centre sees all nine ones.
    const Graph graph = graph_of(section, {1, 5, 5});
    const auto parameters = initial_parameters(graph, 1);
    parameters->nodes[0].weights = kOnes9;
    for (const std::string& name : backend_names()) {
        const Floats y = run({section, {1, 5, 5}, middle}, graph, parameters, *make_backend(name));
        CHECK(y[12] == doctest::Approx(9));
        CHECK(y[0] == doctest::Approx(4));
        CHECK(y[1] == doctest::Approx(0));
    }
}

TEST_CASE("convolutional: batch normalisation with the rolling statistics, then the activation") {
    const auto set = [](Parameters& parameters) {
        NodeParameters& p = parameters.nodes[0];
        p.weights = {2};
        p.biases = {1};
        p.scales = {3};
        p.means = {4};
        p.variances = {4 - 1e-5f};
    };
    check_op({"[convolutional]\nbatch_normalize=1\nactivation=leaky\n", {1, 1, 2}, {3, 0}, set}, {4, -0.5f});
}

TEST_CASE("convolutional: without an activation key it is logistic, as in Darknet") {
    check_op({"[convolutional]\n", {1, 1, 1}, {0}, weights({1})}, {0.5f});
}

TEST_CASE("convolutional: antialiasing blurs the activated output, with the strides") {
    const std::string section = "[convolutional]\nsize=1\nstride=2\nactivation=linear\nantialiasing=";
    // 1: [1 2 1]' [1 2 1] / 16 around (0, 0), (0, 2), (2, 0), (2, 2) of a plane of 16s, zero outside
    check_op({section + "1\n", {1, 3, 3}, Floats(9, 16.0f), weights({1})}, {9, 9, 9, 9});
    // 2: means of 2x2
    check_op({section + "2\n", {1, 4, 4}, ramp(16), weights({1})}, {2.5f, 4.5f, 10.5f, 12.5f});
    CHECK(output_shape(section + "1\n", {1, 7, 8}) == Shape{1, 4, 4});
    CHECK(output_shape(section + "2\n", {1, 7, 8}) == Shape{1, 3, 4});
}

TEST_CASE("convolutional: share_index uses another layer's weights and owns none") {
    const std::string sections =
        "[convolutional]\nsize=1\nactivation=linear\n[convolutional]\nsize=1\nactivation=linear\nshare_index=-1\n";
    check_op({sections, {1, 1, 1}, {5}, weights({3})}, {45});
    CHECK(graph_of(sections, {1, 1, 1}).nodes[1].arrays.empty());
}

TEST_CASE("convolutional: what cannot be is refused, with the line") {
    const Shape image{3, 8, 8};
    CHECK_CONTAINS(cfg_error("[convolutional]\nfilters=0\n", image), "net.cfg:6 [convolutional] filters: found 0");
    CHECK_CONTAINS(cfg_error("[convolutional]\nsize=9\n", image), "a window of 9 does not fit an input of 8");
    CHECK_CONTAINS(cfg_error("[convolutional]\ngroups=2\nfilters=4\n", image), "groups=2 must divide both");
    CHECK_CONTAINS(cfg_error("[convolutional]\nxnor=1\n", image), "binary weights are not supported");
    CHECK_CONTAINS(cfg_error("[convolutional]\nsize=3\ndilation=2\n", image), "padding=0 is too little for size=3");
    CHECK_CONTAINS(cfg_error("[convolutional]\nshare_index=3\n", image), "expected a layer before this one");
    CHECK_CONTAINS(cfg_error("[convolutional]\n[convolutional]\nshare_index=0\nfilters=2\n", image),
                   "shares the weights of layer 0");
    CHECK_CONTAINS(cfg_error("[convolutional]\nfilters=1000000\n[convolutional]\nfilters=1000000\n", {1, 1, 1}),
                   "one of its parameter arrays would not have 1 to 2147483647 values");
}
