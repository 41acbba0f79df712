// SPDX-License-Identifier: Apache-2.0
// [upsample] by hand.
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

TEST_CASE("upsample: each pixel becomes a block, scaled") {
    check_op({"[upsample]\nstride=2\nscale=3\n", {1, 1, 2}, {1, 2}}, {3, 3, 6, 6, 3, 3, 6, 6});
}

TEST_CASE("upsample: with a negative stride each block becomes its sum, scaled") {
    check_op({"[upsample]\nstride=-2\nscale=.5\n", {1, 2, 5}, ramp(10)}, {6, 10});
    CHECK(output_shape("[upsample]\nstride=-2\n", {1, 2, 5}) == Shape{1, 1, 2});
}

TEST_CASE("upsample: what cannot be is refused") {
    CHECK_CONTAINS(cfg_error("[upsample]\nstride=0\n", {1, 1, 2}), "stride: found 0");
    CHECK_CONTAINS(cfg_error("[upsample]\nstride=-2\n", {1, 1, 2}), "its output would be 1 x 0 x 1");
}
