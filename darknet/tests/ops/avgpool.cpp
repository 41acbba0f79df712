// SPDX-License-Identifier: Apache-2.0
// [avgpool] by hand.
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

TEST_CASE("avgpool: the mean of each channel of each image") {
    check_op({"[avgpool]\n", {2, 1, 2}, {1, 3, 10, 20, 0, 1, -4, 4}}, {2, 15, 0.5f, 0});
}
