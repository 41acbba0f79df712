// SPDX-License-Identifier: Apache-2.0
// [local] by hand.
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

TEST_CASE("local: each location has weights of its own") {
    const auto set = [](Parameters& parameters) {
        parameters.nodes[0].weights = {1, 10, 100, 1000, 2, 0, 0, 3};  // 2 locations of a 2x2 window
        parameters.nodes[0].biases = {0.5f, -1};
    };
    check_op({"[local]\nsize=2\nactivation=linear\n", {1, 2, 3}, ramp(6, 1), set}, {5421.5f, 21});
}

TEST_CASE("local: pad=1 puts one zero around the image") {
    const auto set = [](Parameters& parameters) { parameters.nodes[0].weights = Floats(9 * 4, 1.0f); };
    check_op({"[local]\nsize=3\npad=1\nactivation=linear\n", {1, 2, 2}, ramp(4, 1), set}, {10, 10, 10, 10});
}
