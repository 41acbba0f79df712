// SPDX-License-Identifier: Apache-2.0
// [normalization] by hand.
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

#include <cmath>

TEST_CASE("normalization: the window over channels, begun as Darknet begins it") {
    // size 3: channel 0 has norm k + a x0^2 (element 1 missing), then x2^2 enters, x_{-1}^2 leaves, ...
    const Floats x = {1, 2, 3};
    const float n0 = 1 + 1, n1 = n0 + 9 - 0 - 0, n2 = n1 + 0 - 1;
    // channel 1: + x_{1+1}^2 - x_{1-2}^2; channel 2: + x_3^2 (none) - x_0^2
    check_op({"[lrn]\nsize=3\nalpha=1\nbeta=.5\nkappa=1\n", {3, 1, 1}, x},
             {1 / std::sqrt(n0), 2 / std::sqrt(n1), 3 / std::sqrt(n2)});
}
