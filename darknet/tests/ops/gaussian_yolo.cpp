// SPDX-License-Identifier: Apache-2.0
// [Gaussian_yolo], by hand.
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

#include <cmath>

TEST_CASE("gaussian_yolo: logistic on all but w and h - x and y grow by scale_x_y") {
    // One anchor, one class: x, its sigma, y, its sigma, w, sigma, h, sigma, objectness, class.
    const std::string head = "[Gaussian_yolo]\nclasses=1\nnum=1\nanchors=3,3\nscale_x_y=2\n";
    const float s = 1 / (1 + std::exp(-1.0f));
    check_op({head, {10, 1, 1}, Floats(10, 1.0f)}, {2 * s - 0.5f, s, 2 * s - 0.5f, s, 1, s, 1, s, s, s});
}

TEST_CASE("gaussian_yolo: the filters in front of it must be (classes + 9) * masks") {
    CHECK_CONTAINS(cfg_error("[convolutional]\nfilters=6\n[Gaussian_yolo]\nclasses=1\nnum=1\n", {3, 8, 8}),
                   "net.cfg:5 [convolutional] filters: found filters=6, expected (classes + 9) * 1 = 10");
}
