// SPDX-License-Identifier: Apache-2.0
// [yolo] by hand, and what it says about keys that do not fit.
#include "ops.hpp"

using namespace dn;
using namespace dn::test;

#include <cmath>

namespace {

const float kS = 1 / (1 + std::exp(-1.0f));  // logistic of 1

const std::string kConvolution = "[convolutional]\nfilters=18\nsize=1\nactivation=linear\n";

}  // namespace

TEST_CASE("yolo: logistic on x, y, objectness and classes - x and y grow by scale_x_y") {
    const std::string head = "[yolo]\nclasses=1\nnum=1\nanchors=3,3\nscale_x_y=2\n";
    check_op({head, {6, 1, 1}, Floats(6, 1.0f)}, {2 * kS - 0.5f, 2 * kS - 0.5f, 1, 1, kS, kS});
}

TEST_CASE("yolo: with new_coords the layer before has done the logistic") {
    const std::string head = "[yolo]\nclasses=1\nnum=1\nanchors=3,3\nscale_x_y=2\nnew_coords=1\n";
    check_op({head, {6, 1, 2}, Floats(12, 0.25f)},
             {0, 0, 0, 0, 0.25f, 0.25f, 0.25f, 0.25f, 0.25f, 0.25f, 0.25f, 0.25f});
}

TEST_CASE("yolo: each anchor of the mask has its own planes") {
    const std::string head = "[yolo]\nclasses=1\nnum=3\nmask=0,2\nanchors=1,1,2,2,3,3\n";
    const Floats once = {kS, kS, 1, 1, kS, kS};
    Floats expected = once;
    expected.insert(expected.end(), once.begin(), once.end());
    check_op({head, {12, 1, 1}, Floats(12, 1.0f)}, expected);
}

TEST_CASE("yolo: filters that do not fit are reported at the convolution's line") {
    const std::string message =
        cfg_error("[convolutional]\nfilters=255\n[yolo]\nclasses=20\nnum=3\nanchors=1,1,2,2,3,3\n", {3, 8, 8});
    CHECK_CONTAINS(message, "net.cfg:5 [convolutional] filters: found filters=255, expected (classes + 5) * 3 = 75");
    CHECK_CONTAINS(message, "for the head at net.cfg:7 [yolo]");
}

TEST_CASE("yolo: keys that do not fit each other are refused, with the line") {
    const auto error = [](const std::string& keys) {
        return cfg_error(kConvolution + "[yolo]\nclasses=1\n" + keys, {3, 8, 8});
    };
    CHECK_CONTAINS(error("num=3\nmask=1,3\n"), "net.cfg:12 [yolo] mask: found anchor 3, expected 0 to 2");
    CHECK_CONTAINS(error("num=3\nanchors=1,1,2,2\n"), "anchors: found 4 values, expected 6 (num=3 pairs");
    CHECK_CONTAINS(error("num=3\nanchors=1,1,2,2,0,3\n"), "anchors: found a value that is not positive");
    CHECK_CONTAINS(error("num=3\ncounters_per_class=5,6\n"), "found 2 counts, expected 1, one for each class");
    CHECK_CONTAINS(error("num=3\niou_loss=siou\n"), "found \"siou\", expected one of mse, iou, giou, diou, ciou");
    CHECK_CONTAINS(error("num=3\nnms_kind=soft\n"), "expected one of default, greedynms, diounms");
    CHECK_CONTAINS(error("num=3\nignore_tresh=.7\n"), "unknown key \"ignore_tresh\"; did you mean \"ignore_thresh\"?");
}

TEST_CASE("yolo: without a mask it has all anchors - anchors beyond num are dropped as Darknet does") {
    const Graph graph = graph_of(kConvolution + "[yolo]\nclasses=1\nnum=3\nanchors=1,1,2,2,3,3,4,4\n", {3, 8, 8});
    CHECK(graph.nodes[1].as<YoloParams>().mask == std::vector<int>{0, 1, 2});
    CHECK(graph.nodes[1].as<YoloParams>().anchors == Floats{1, 1, 2, 2, 3, 3});
}
