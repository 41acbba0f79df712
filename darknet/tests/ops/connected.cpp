// SPDX-License-Identifier: Apache-2.0
// [connected] by hand.
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

TEST_CASE("connected: rows of weights times the input, plus the bias, activated") {
    const auto set = [](Parameters& parameters) {
        parameters.nodes[0].biases = {0.5f, 1};
        parameters.nodes[0].weights = {1, 2, 3, -1, 0, -1};
    };
    check_op({"[connected]\noutput=2\nactivation=relu\n", {3, 1, 1}, {1, 1, 2, 0, -1, 1}, set}, {9.5f, 0, 1.5f, 0});
}

TEST_CASE("connected: batch normalisation stands between the product and the activation") {
    const auto set = [](Parameters& parameters) {
        NodeParameters& p = parameters.nodes[0];
        p.biases = {1};
        p.weights = {2, 0, 0, 1};
        p.scales = {3};
        p.means = {4};
        p.variances = {4 - 1e-5f};
    };
    check_op({"[connected]\noutput=1\nbatch_normalize=1\nactivation=linear\n", {1, 2, 2}, {1, 9, 9, 8}, set}, {10});
}

TEST_CASE("connected: the file holds biases and weights first, then the batch normalisation") {
    const Graph graph = graph_of("[connected]\noutput=5\nbatch_normalize=1\n", {2, 3, 4});
    const std::vector<ArraySpec>& arrays = graph.nodes[0].arrays;
    REQUIRE(arrays.size() == 5);
    CHECK(arrays[1].role == Role::weights);
    CHECK(arrays[1].count == 120);
    CHECK(arrays[2].role == Role::scales);
    CHECK(graph.nodes[0].parameter_count() == 140);
}
