// SPDX-License-Identifier: Apache-2.0
// [shortcut] by hand.
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

#include <cmath>

namespace {

// Layer 0: x; layer 1: 10 x.
const std::string kTwo = "[empty]\n[upsample]\nstride=1\nscale=10\n";

std::function<void(Parameters&)> weights(const Floats& values) {
    return [values](Parameters& parameters) { parameters.nodes[2].weights = values; };
}

}  // namespace

TEST_CASE("shortcut: the sum of the layer before and others, activated") {
    check_op({kTwo + "[shortcut]\nfrom=0\nactivation=leaky\n", {1, 1, 2}, {1, -1}}, {11, -1.1f});
    check_op({kTwo + "[shortcut]\nfrom=0,-2,0\n", {1, 1, 2}, {1, 2}}, {13, 26});
}

TEST_CASE("shortcut: only the channels that both have are added, in every image") {
    // from has fewer channels than the layer before, then more
    const std::string fewer =
        "[maxpool]\nsize=1\nmaxpool_depth=1\nout_channels=1\n[route]\nlayers=0,0\n[shortcut]\nfrom=0\n";
    check_op({fewer, {1, 1, 2}, {1, 2, 3, 4}}, {2, 4, 1, 2, 6, 8, 3, 4});
    const std::string more = "[route]\nlayers=0,0\n[maxpool]\nsize=1\nmaxpool_depth=1\n[shortcut]\nfrom=1\n";
    check_op({"[empty]\n" + more, {1, 1, 2}, {1, 2, 3, 4}}, {2, 4, 6, 8});
}

TEST_CASE("shortcut: of a larger source every n-th value of every n-th row is added, in every image") {
    // 4 x 2 and 6 x 3 sampled to 2 x 1; the layer before is the largest value of each block
    const auto strided = [](int step) {
        const std::string size = std::to_string(step);
        return "[empty]\n[maxpool]\npadding=0\nsize=" + size + "\nstride=" + size + "\n[shortcut]\nfrom=0\n";
    };
    check_op({strided(2), {1, 2, 4}, {0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17}},
             {5 + 0, 7 + 2, 15 + 10, 17 + 12});
    Floats counted(18);
    for (int i = 0; i < 18; ++i) counted[i] = static_cast<float>(i);
    check_op({strided(3), {1, 3, 6}, counted}, {14 + 0, 17 + 3});
}

TEST_CASE("shortcut: a larger source against a loop over all values") {
    // from has 4 channels of 6 x 4, the layer before 3 of 3 x 2; twice the layer before and once the source
    const Shape shape{4, 4, 6};
    Floats input(2 * shape.size());
    for (std::size_t i = 0; i < input.size(); ++i) input[i] = std::sin(1.7f * static_cast<float>(i));
    const auto at = [&](int n, int c, int y, int x) { return input[((n * 4 + c) * 4 + y) * 6 + x]; };
    Floats expected;
    for (int n = 0; n < 2; ++n)
        for (int c = 0; c < 3; ++c)
            for (int y = 0; y < 2; ++y)
                for (int x = 0; x < 3; ++x) expected.push_back(3 * at(n, c, 2 * y, 2 * x));
    const std::string cut = "[empty]\n[convolutional]\nfilters=3\nsize=1\nstride=2\nactivation=linear\n";
    const auto first_three = [](Parameters& parameters) {
        parameters.nodes[1].weights = {2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0};
        parameters.nodes[1].biases = {0, 0, 0};
    };
    check_op({cut + "[shortcut]\nfrom=0\nactivation=linear\n", shape, input, first_three}, expected);
}

TEST_CASE("shortcut: weights stand source by source, the layer before first") {
    const std::string feature = kTwo + "[shortcut]\nfrom=0\nweights_type=per_feature\n";
    check_op({feature, {1, 1, 2}, {1, 2}, weights({2, 3})}, {23, 46});
    const std::string channel = kTwo + "[shortcut]\nfrom=0\nweights_type=per_channel\n";
    check_op({channel, {2, 1, 1}, {1, 2}, weights({1, 2, 3, 4})}, {13, 48});
    CHECK(graph_of(channel, {2, 1, 1}).nodes[2].parameter_count() == 4);
}

TEST_CASE("shortcut: normalised weights") {
    const std::string section = kTwo + "[shortcut]\nfrom=0\nweights_type=per_feature\nweights_normalization=";
    check_op({section + "relu\n", {1, 1, 1}, {1}, weights({1, 3})}, {(10 * 1 + 3) / 4.0001f});
    // below 1e-3 a weight counts as 1e-3
    check_op({section + "relu\n", {1, 1, 1}, {1}, weights({-5, 1})}, {(10 * 1e-3f + 1) / (1.001f + 1e-4f)});
    const float e = std::exp(-1.0f);
    check_op({section + "softmax\n", {1, 1, 1}, {1}, weights({2, 1})}, {(10 + e) / (1 + e + 1e-4f)});
}

TEST_CASE("shortcut: what cannot be is refused, with the line") {
    CHECK_CONTAINS(cfg_error("[empty]\n[upsample]\n[shortcut]\nfrom=0\n", {1, 1, 2}),
                   "layer 0 is 2 x 1, expected 4 x 2 as the layer before, or a multiple of both by one factor");
    for (const std::string size : {"stride_x=2\nstride_y=1\n", "stride_x=2\nstride_y=3\n", "stride=2\n"})
        CHECK_CONTAINS(cfg_error("[empty]\n[maxpool]\nsize=1\n" + size + "[shortcut]\nfrom=0\n", {1, 5, 5}),
                       "layer 0 is 5 x 5, expected");
    CHECK_CONTAINS(cfg_error("[empty]\n[shortcut]\nfrom=0\nweights_type=all\n", {1, 1, 2}),
                   "found \"all\", expected one of none, per_feature, per_layer, per_channel");
    CHECK_CONTAINS(cfg_error("[empty]\n[shortcut]\n", {1, 1, 2}), "from: is missing");
}
