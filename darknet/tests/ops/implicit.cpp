// SPDX-License-Identifier: Apache-2.0
// [implicit].
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

TEST_CASE("implicit: the weights, for each image, whatever the input") {
    const auto set = [](Parameters& parameters) { parameters.nodes[0].weights = {1, 2, 3, 4}; };
    check_op({"[implicit]\nfilters=2\natoms=2\n", {1, 1, 1}, {7, 8}, set}, {1, 2, 3, 4, 1, 2, 3, 4});
    CHECK(output_shape("[implicit]\nfilters=2\natoms=2\n", {1, 1, 1}) == Shape{2, 2, 1});
}
