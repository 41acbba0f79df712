// SPDX-License-Identifier: Apache-2.0
// [local_avgpool] by hand.
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

TEST_CASE("local_avgpool: the mean of the positions inside the image") {
    // size 2, padding 1 in total: windows begin at the pixel, those at the border are smaller.
    check_op({"[local_avgpool]\nsize=2\nstride=1\n", {1, 2, 2}, {1, 2, 3, 6}}, {3, 4, 4.5f, 6});
    check_op({"[local_avg]\nsize=3\nstride=2\n", {1, 3, 3}, ramp(9, 1)}, {3, 4, 6, 7});
}
