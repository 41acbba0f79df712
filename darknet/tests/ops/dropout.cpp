// SPDX-License-Identifier: Apache-2.0
// [dropout] at inference.
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

TEST_CASE("dropout: nothing is dropped at inference") {
    check_op({"[dropout]\nprobability=.5\n", {1, 1, 3}, {1, 2, 3}}, {1, 2, 3});
    check_op({"[dropout]\ndropblock=1\ndropblock_size_abs=3\n", {1, 1, 3}, {1, 2, 3}}, {1, 2, 3});
}

TEST_CASE("dropout: a probability of 1 or more is refused") {
    CHECK_CONTAINS(cfg_error("[dropout]\nprobability=1\n", {1, 1, 3}), "found 1, expected 0 to below 1");
}
