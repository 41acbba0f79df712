// SPDX-License-Identifier: Apache-2.0
// [maxpool] by hand.
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

TEST_CASE("maxpool: the maximum of each window") {
    check_op({"[maxpool]\nsize=2\nstride=2\n", {1, 2, 4}, {1, 5, 2, 0, 3, 4, -1, 1}}, {5, 2});
}

TEST_CASE("maxpool: by default half of size - 1 pads each side, the rest the right and the bottom") {
    check_op({"[maxpool]\nsize=2\nstride=1\n", {1, 1, 4}, {4, 3, 2, 1}}, {4, 3, 2, 1});
    check_op({"[maxpool]\nsize=3\nstride=1\n", {1, 1, 4}, {4, 3, 1, 2}}, {4, 4, 3, 2});
    check_op({"[maxpool]\nsize=2\nstride=2\n", {1, 3, 3}, ramp(9)}, {4, 5, 7, 8});
}

TEST_CASE("maxpool: a wide row has no blocks that forget their left neighbours") {
    // Darknet's AVX build does from 13 columns on.
    Floats row(32, 0.0f), expected(32, 0.0f);
    for (int peak : {0, 7, 8, 15, 16, 31}) {
        row[peak] = static_cast<float>(peak + 1);
        for (int j = std::max(0, peak - 2); j <= std::min(31, peak + 2); ++j)
            expected[j] = std::max(expected[j], row[peak]);
    }
    check_op({"[maxpool]\nsize=5\nstride=1\n", {1, 1, 32}, row}, expected);
}

TEST_CASE("maxpool: padding=0, strides of their own") {
    const std::string section = "[maxpool]\nsize=2\nstride_x=2\nstride_y=1\npadding=0\n";
    check_op({section, {1, 3, 4}, ramp(12)}, {5, 7, 9, 11});
}

TEST_CASE("maxpool: maxpool_depth takes the maximum of every out_channels-th channel") {
    const std::string section = "[maxpool]\nsize=1\nmaxpool_depth=1\nout_channels=2\n";
    check_op({section, {4, 1, 2}, {1, 8, 2, 7, 3, 0, -4, 9}}, {3, 8, 2, 9});
    CHECK_CONTAINS(cfg_error("[maxpool]\nmaxpool_depth=1\nout_channels=5\n", {4, 1, 2}), "found out_channels=5");
}

TEST_CASE("maxpool: antialiasing blurs the maxima of stride 1") {
    // Maxima: 4 4 4 / 4 4 4 / 4 4 4 wherever the 2x2 window meets the centre; zero elsewhere in the padded blur.
    check_op({"[maxpool]\nsize=2\nstride=2\nantialiasing=2\n", {1, 2, 2}, {1, 2, 3, 4}}, {4});
    CHECK(output_shape("[maxpool]\nsize=2\nstride=2\nantialiasing=1\n", {1, 7, 8}) == Shape{1, 4, 4});
}
