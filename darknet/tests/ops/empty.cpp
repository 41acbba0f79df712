// SPDX-License-Identifier: Apache-2.0
// [empty] and [silence].
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

TEST_CASE("empty: its input passes through, under both names") {
    check_op({"[empty]\n", {1, 1, 2}, {1, 2}}, {1, 2});
    check_op({"[silence]\n", {1, 1, 2}, {1, 2}}, {1, 2});
}
