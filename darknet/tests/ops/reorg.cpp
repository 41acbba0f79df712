// SPDX-License-Identifier: Apache-2.0
// [reorg] by hand.
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

TEST_CASE("reorg: Darknet's own order, and reverse undoes it") {
    // 4 channels of 2x2, stride 2: C0 = 1, so the input is read as one 4x4 plane and every second pixel taken.
    const Floats spread = {0, 2, 8, 10, 1, 3, 9, 11, 4, 6, 12, 14, 5, 7, 13, 15};
    check_op({"[reorg]\nstride=2\n", {4, 2, 2}, ramp(16)}, spread);
    CHECK(output_shape("[reorg]\nstride=2\n", {4, 2, 2}) == Shape{16, 1, 1});
    check_op({"[reorg]\nstride=2\nreverse=1\n", {4, 2, 2}, spread}, ramp(16));
    CHECK(output_shape("[reorg]\nstride=2\nreverse=1\n", {4, 2, 2}) == Shape{1, 4, 4});
}

TEST_CASE("reorg: channels and sides that cannot be divided are refused") {
    CHECK_CONTAINS(cfg_error("[reorg]\nstride=2\n", {3, 4, 4}), "3 input channels are not a multiple");
    CHECK_CONTAINS(cfg_error("[reorg]\nstride=2\n", {4, 4, 5}), "its input of 5 x 4 is not a multiple of stride=2");
}
