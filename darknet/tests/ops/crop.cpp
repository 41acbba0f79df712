// SPDX-License-Identifier: Apache-2.0
// [crop] by hand.
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

TEST_CASE("crop: the middle of each channel, from 0..1 to -1..1") {
    check_op({"[crop]\ncrop_width=2\ncrop_height=1\n", {1, 3, 4}, ramp(12, 0, 0.1f)}, {0, 0.2f});
    check_op({"[crop]\ncrop_width=2\ncrop_height=1\nnoadjust=1\n", {1, 3, 4}, ramp(12, 0, 0.1f)}, {0.5f, 0.6f});
}

TEST_CASE("crop: a crop larger than the image is refused") {
    CHECK_CONTAINS(cfg_error("[crop]\ncrop_width=5\ncrop_height=1\n", {1, 3, 4}), "a crop of 5 x 1 does not fit");
}
