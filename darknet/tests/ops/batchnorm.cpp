// SPDX-License-Identifier: Apache-2.0
// [batchnorm] by hand.
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

TEST_CASE("batchnorm: (x - mean) / sqrt(variance + eps) * scale + bias, per channel") {
    const auto set = [](Parameters& parameters) {
        NodeParameters& p = parameters.nodes[0];
        p.biases = {1, -1};
        p.scales = {2, 10};
        p.means = {3, 0};
        p.variances = {4 - 1e-5f, 0.25f - 1e-5f};
    };
    check_op({"[batchnorm]\n", {2, 1, 2}, {5, 3, 1, -1}, set}, {3, 1, 19, -21});
}
