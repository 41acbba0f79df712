// SPDX-License-Identifier: Apache-2.0
// [softmax] by hand.
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

#include <cmath>

TEST_CASE("softmax: groups are separate, the temperature flattens") {
    const float a = 1 / (1 + std::exp(-1.0f));
    check_op({"[softmax]\ngroups=2\ntemperature=2\n", {4, 1, 1}, {2, 0, 1000, 998}}, {a, 1 - a, a, 1 - a});
}

TEST_CASE("softmax: what cannot be is refused, with the line") {
    CHECK_CONTAINS(cfg_error("[softmax]\ngroups=3\n", {4, 1, 1}), "groups=3 does not divide its 4 inputs");
    CHECK_CONTAINS(cfg_error("[softmax]\ntemperature=0\n", {4, 1, 1}), "found 0, expected more than 0");
    const TemporaryFolder folder;
    const std::string tree = folder.write("bad.tree", "cat -1\ndog 1\n");
    CHECK_CONTAINS(cfg_error("[softmax]\ntree=" + tree + "\n", {2, 1, 1}),
                   "bad.tree:2: found parent 1, expected -1 or");
}
