// SPDX-License-Identifier: Apache-2.0
// [detection], the head of YOLOv1, by hand.
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

TEST_CASE("detection: with softmax the classes of each cell become probabilities, the rest stays") {
    const std::string head = "[detection]\nclasses=2\ncoords=4\nnum=1\nside=1\nsoftmax=1\n";
    check_op({head, {7, 1, 1}, {0, 0, 0.3f, 1, 2, 3, 4}}, {0.5f, 0.5f, 0.3f, 1, 2, 3, 4});
}

TEST_CASE("detection: the number of inputs must be that of the cells") {
    CHECK_CONTAINS(cfg_error("[detection]\nclasses=2\ncoords=4\nside=1\n", {8, 1, 1}),
                   "found 8 inputs, expected side^2 * ((coords + 1) * num + classes) = 7");
    CHECK_CONTAINS(cfg_error("[detection]\nclasses=2\n", {8, 1, 1}), "coords: found 1, expected 4");
}
