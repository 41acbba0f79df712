// SPDX-License-Identifier: Apache-2.0
// [region] by hand.
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

#include <cmath>

TEST_CASE("region: boxes become rows, with a logistic objectness and a softmax over the classes") {
    // (1 anchor: x y w h objectness, 2 classes; 1 x 2 cells)
    const Floats x = {1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 5, 0, 5};
    const std::string head = "[region]\nclasses=2\nnum=1\nanchors=1,1\nsoftmax=1\n";
    check_op({head, {7, 1, 2}, x}, {1, 3, 5, 7, 0.5f, 0.5f, 0.5f, 2, 4, 6, 8, 0.5f, 0.5f, 0.5f});
}

TEST_CASE("region: a tree has one softmax for each group of siblings") {
    const TemporaryFolder folder;
    const std::string tree = folder.write("two.tree", "animal -1\nthing -1\ncat 0\ndog 0\n");
    const std::string head = "[region]\nclasses=4\nnum=1\nanchors=1,1\ntree=" + tree + "\n";
    const float e = 1 / (1 + std::exp(-1.0f));
    check_op({head, {9, 1, 1}, {0, 0, 0, 0, 0, 1, 0, 3, 4}}, {0, 0, 0, 0, 0.5f, e, 1 - e, 1 - e, e});
    CHECK_CONTAINS(cfg_error("[region]\nclasses=5\nnum=1\ntree=" + tree + "\n", {10, 1, 1}),
                   "found 4 lines, expected classes=5");
}

TEST_CASE("region: a map must stay inside its tree") {
    const TemporaryFolder folder;
    const std::string tree = folder.write("two.tree", "cat -1\ndog -1\n"), map = folder.write("two.map", "0\n2\n");
    CHECK_CONTAINS(cfg_error("[region]\nclasses=2\nnum=1\ntree=" + tree + "\nmap=" + map + "\n", {7, 1, 1}),
                   "two.map:2: found class 2, expected 0 to 1");
}
