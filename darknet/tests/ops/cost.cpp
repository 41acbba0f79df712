// SPDX-License-Identifier: Apache-2.0
// [cost] at inference.
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

TEST_CASE("cost: its input passes through") { check_op({"[cost]\ntype=smooth\n", {2, 1, 1}, {1, -2}}, {1, -2}); }

TEST_CASE("cost: an unknown type is an error that lists those there are") {
    CHECK_CONTAINS(cfg_error("[cost]\ntype=l2\n", {2, 1, 1}), "found \"l2\", expected one of sse, masked, smooth");
}
