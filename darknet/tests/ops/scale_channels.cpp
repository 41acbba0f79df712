// SPDX-License-Identifier: Apache-2.0
// [scale_channels] by hand.
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

TEST_CASE("scale_channels: one factor a channel") {
    check_op({"[empty]\n[avgpool]\n[scale_channels]\nfrom=0\n", {2, 1, 2}, {1, 3, 10, 20}}, {2, 6, 150, 300});
}

TEST_CASE("scale_channels: with scale_wh one factor a pixel") {
    const std::string sections =
        "[empty]\n[maxpool]\nmaxpool_depth=1\nout_channels=1\nsize=1\n[scale_channels]\nfrom=0\nscale_wh=1\n";
    check_op({sections, {2, 1, 2}, {1, 3, 10, 2}}, {10, 9, 100, 6});
}

TEST_CASE("scale_channels: the factors must have the shape that scale_wh says") {
    CHECK_CONTAINS(cfg_error("[empty]\n[avgpool]\n[scale_channels]\nfrom=0\nscale_wh=1\n", {2, 1, 2}),
                   "found factors of 1 x 1 x 2, expected 2 x 1 x 1 for layer 0 with scale_wh=1");
}
