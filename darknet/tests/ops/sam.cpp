// SPDX-License-Identifier: Apache-2.0
// [sam] by hand.
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

TEST_CASE("sam: the product of two layers, activated") {
    const std::string sections = "[empty]\n[upsample]\nstride=1\nscale=-2\n[sam]\nfrom=0\nactivation=leaky\n";
    check_op({sections, {1, 1, 2}, {1, 3}}, {-0.2f, -1.8f});
}

TEST_CASE("sam: shapes must be equal") {
    CHECK_CONTAINS(cfg_error("[empty]\n[upsample]\n[sam]\nfrom=0\n", {1, 1, 2}),
                   "layer 0 is 2 x 1 x 1, expected 4 x 2 x 1 as the layer before");
    CHECK_CONTAINS(cfg_error("[empty]\n[sam]\n", {1, 1, 2}), "from: is missing");
}
