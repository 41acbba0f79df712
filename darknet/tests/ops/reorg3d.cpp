// SPDX-License-Identifier: Apache-2.0
// [reorg3d] by hand.
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

TEST_CASE("reorg3d: each of the four positions of a block becomes a group of channels") {
    // 2 channels of 2x2: even rows and columns of both, then odd columns, odd rows, both.
    check_op({"[reorg3d]\nstride=2\n", {2, 2, 2}, ramp(8)}, {0, 4, 1, 5, 2, 6, 3, 7});
    CHECK(output_shape("[reorg3d]\nstride=2\n", {2, 4, 6}) == Shape{8, 2, 3});
}

TEST_CASE("reorg3d: the reverse has Darknet's order") {
    // 16 channels of 1x1 become 4 of 2x2, filled as one 4x4 plane of every second pixel.
    check_op({"[reorg3d]\nstride=2\nreverse=1\n", {16, 1, 1}, ramp(16)},
             {0, 4, 1, 5, 8, 12, 9, 13, 2, 6, 3, 7, 10, 14, 11, 15});
    CHECK_CONTAINS(cfg_error("[reorg3d]\nstride=2\nreverse=1\n", {8, 1, 1}), "not a multiple of stride^4 = 16");
}
