// SPDX-License-Identifier: Apache-2.0
// Decoding of every head: outputs made by hand, boxes worked out by hand.
#include "detect.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "support.hpp"

using namespace dn;
using namespace dn::test;

namespace {

constexpr double kTolerance = 1e-5;

void check_box(const Box& box, double x, double y, double w, double h) {
    CHECK(box.x == doctest::Approx(x).epsilon(kTolerance));
    CHECK(box.y == doctest::Approx(y).epsilon(kTolerance));
    CHECK(box.w == doctest::Approx(w).epsilon(kTolerance));
    CHECK(box.h == doctest::Approx(h).epsilon(kTolerance));
}

void check_prob(const Candidate& candidate, std::vector<double> expected) {
    REQUIRE(candidate.prob.size() == expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i)
        CHECK(candidate.prob[i] == doctest::Approx(expected[i]).epsilon(kTolerance));
}

// A 3 x 2 grid (w x h) over an input of 96 x 64, with `head` as its last section.
struct Net {
    Graph graph;
    std::vector<float> output;

    Net(int filters, const std::string& head)
        : graph(graph_of("[net]\nwidth=96\nheight=64\nchannels=3\n[convolutional]\nsize=1\nstride=32\nfilters=" +
                         std::to_string(filters) + "\n" + head)),
          output(node().out.size(), 0.0f) {}

    const Node& node() const { return graph.nodes.back(); }

    // Planes (c, h, w).
    float& at(int plane, int row, int column) { return output[(plane * 2 + row) * 3 + column]; }

    std::vector<Candidate> decode(const DecodeOptions& options) const {
        std::vector<Candidate> found;
        decode_head(node(), output.data(), graph.input, options, found);
        return found;
    }
};

const char* kYolo = "[yolo]\nclasses=2\nnum=3\nanchors=8,8,12,16,24,20\nmask=1,2\n";

}  // namespace

TEST_CASE("yolo: box, confidences and the strict thresholds") {
    Net net(14, kYolo);
    // Anchor slot 1 (mask 2: 24 x 20), row 1, column 2.
    net.at(7 + 0, 1, 2) = 0.25f;
    net.at(7 + 1, 1, 2) = 0.75f;
    net.at(7 + 2, 1, 2) = std::log(2.0f);
    net.at(7 + 3, 1, 2) = 0;
    net.at(7 + 4, 1, 2) = 0.8f;
    net.at(7 + 5, 1, 2) = 0.5f;
    net.at(7 + 6, 1, 2) = 0.3f;  // .24 is not above .25
    net.at(4, 0, 0) = 0.25f;     // neither is an objectness of exactly .25
    const std::vector<Candidate> found = net.decode({0.25f, true, false, 640, 480});
    REQUIRE(found.size() == 1);
    check_box(found[0].box, 2.25 / 3, 1.75 / 2, 2 * 24 / 96.0, 20 / 64.0);
    CHECK(found[0].objectness == 0.8f);
    check_prob(found[0], {0.4, 0});
    CHECK(found[0].best_class == 0);
}

TEST_CASE("yolo: candidates come cell by cell, row-major, anchors inner, and NaN is not a candidate") {
    Net net(14, kYolo);
    for (int slot : {0, 1}) {
        net.at(7 * slot + 4, 0, 2) = 0.5f + 0.1f * slot;
        net.at(7 * slot + 4, 1, 0) = 0.7f + 0.1f * slot;
    }
    net.at(4, 0, 0) = std::nanf("");
    const std::vector<Candidate> found = net.decode({0.25f, true, false, 1, 1});
    REQUIRE(found.size() == 4);
    for (int i = 0; i < 4; ++i) CHECK(found[i].objectness == doctest::Approx(0.5 + 0.1 * i));
}

TEST_CASE("yolo: pixels, and the way back from a letterbox") {
    Net net(14, kYolo);
    net.at(0, 0, 1) = 0.5f;
    net.at(1, 0, 1) = 1.0f;
    net.at(4, 0, 1) = 0.9f;
    check_box(net.decode({0.25f, false, false, 200, 100}).at(0).box, 0.5 * 200, 0.5 * 100, 12 / 96.0 * 200,
              16 / 64.0 * 100);
    // 100 x 100 in 96 x 64: scaled to 64 x 64, margins of 16 left and right.
    const Candidate boxed = net.decode({0.25f, true, true, 100, 100}).at(0);
    check_box(boxed.box, (0.5 - 16 / 96.0) / (64 / 96.0), 0.5, 12 / 64.0, 16 / 64.0);
    // 97 x 64: scaled to 96 x 63; the margin counts as half a pixel although the image stands at row 0.
    const Candidate odd = net.decode({0.25f, true, true, 97, 64}).at(0);
    check_box(odd.box, 0.5, (0.5 - 0.5 / 64) / (63 / 64.0), 12 / 96.0, 16 / 63.0);
}

TEST_CASE("yolo with new_coords: the square of twice the value scales the anchor") {
    Net net(14, std::string(kYolo) + "new_coords=1\n");
    net.at(2, 0, 0) = 0.5f;
    net.at(3, 0, 0) = 0.25f;
    net.at(4, 0, 0) = 0.9f;
    check_box(net.decode({0.25f, true, false, 1, 1}).at(0).box, 0, 0, 12 / 96.0, 0.25 * 16 / 64.0);
}

TEST_CASE("gaussian_yolo: uncertainty lowers confidence - the point may be a corner") {
    const std::string head = "[Gaussian_yolo]\nclasses=1\nnum=1\nanchors=24,16\nmask=0\n";
    for (const auto& [point, dx, dy] : {std::tuple{"center", 0.0, 0.0}, std::tuple{"left_top", 0.125, 0.125},
                                        std::tuple{"right_bottom", -0.125, -0.125}}) {
        Net net(10, head + "yolo_point=" + point + "\n");
        const float values[] = {0.5f, 0.1f, 0.5f, 0.2f, 0, 0.3f, 0, 0.4f, 0.8f, 0.9f};
        for (int e = 0; e < 10; ++e) net.at(e, 1, 1) = values[e];
        const Candidate found = net.decode({0.25f, true, false, 1, 1}).at(0);
        check_box(found.box, 1.5 / 3 + dx, 1.5 / 2 + dy, 0.25, 0.25);
        check_prob(found, {0.8 * 0.9 * 0.75});
        for (int i = 0; i < 4; ++i) CHECK(found.uncertainty[i] == values[2 * i + 1]);
    }
}

TEST_CASE("region: every record is reported - anchors are in cells - entries stand together") {
    Net net(14, "[region]\nclasses=2\nnum=2\nanchors=1,2,0.5,3\nsoftmax=1\n");
    // Record of row 1, column 0, anchor 1: number (1*3 + 0)*2 + 1 = 7.
    const float values[] = {0, std::log(3.0f), std::log(2.0f), 0, 0.9f, 0.8f, 0.2f};
    std::copy(std::begin(values), std::end(values), net.output.begin() + 7 * 7);
    const std::vector<float> before = net.output;
    const std::vector<Candidate> found = net.decode({0.25f, true, false, 1, 1});
    REQUIRE(found.size() == 12);
    check_box(found[7].box, 0.5 / 3, 1.75 / 2, 2 * 0.5 / 3, 3 / 2.0);
    check_prob(found[7], {0.72, 0});
    CHECK(found[7].objectness == 1);
    CHECK(found[7].best_class == 0);
    CHECK(found[6].best_class == -1);
    CHECK(net.output == before);
}

TEST_CASE("region with classfix=-1: objectness below one half counts as none") {
    for (const auto& [classfix, expected] : {std::pair{"0", 0.4}, std::pair{"-1", 0.0}}) {
        Net net(6, std::string("[region]\nclasses=1\nnum=1\nanchors=1,1\nclassfix=") + classfix + "\n");
        net.output[4] = 0.4f;
        net.output[5] = 1;
        check_prob(net.decode({0.25f, true, false, 1, 1})[0], {expected});
    }
}

TEST_CASE("region with a tree: the deepest likely class wins - with a map, products along the path are reported") {
    const TemporaryFolder folder;
    // animal (dog, cat), vehicle; dog (terrier)
    const std::string tree = folder.write("t.tree", "animal -1\nvehicle -1\ndog 0\ncat 0\nterrier 2\n");
    const std::string head = "[region]\nclasses=5\nnum=1\nanchors=1,1\nsoftmax=1\ntree=" + tree + "\n";
    const float values[] = {0, 0, 0, 0, 0.8f, 0.9f, 0.1f, 0.7f, 0.3f, 0.6f};
    {
        Net net(10, head);
        std::copy(std::begin(values), std::end(values), net.output.begin());
        // animal .9, dog .63, terrier .378: dog is the last above one half.
        const Candidate found = net.decode({0.25f, true, false, 1, 1})[0];
        check_prob(found, {0, 0, 0.63, 0, 0});
        CHECK(found.best_class == 2);
        check_prob(net.decode({0.8f, true, false, 1, 1})[0], {0, 0, 0, 0, 0});      // objectness must exceed it
        check_prob(net.decode({0.25f, true, false, 1, 1})[0], {0, 0, 0.63, 0, 0});  // decoding changed nothing
    }
    {
        Net net(10, head + "map=" + folder.write("m.map", "4\n0\n") + "\n");
        std::copy(std::begin(values), std::end(values), net.output.begin());
        check_prob(net.decode({0.25f, true, false, 1, 1})[0], {0.8 * 0.378, 0.8 * 0.9});
    }
}

TEST_CASE("detection (YOLOv1): classes of all cells, then confidences, then boxes") {
    const Graph graph = graph_of(
        "[net]\nwidth=8\nheight=8\nchannels=1\n[connected]\noutput=48\n"
        "[detection]\nclasses=2\ncoords=4\nnum=2\nside=2\nsqrt=1\n");
    std::vector<float> output(48, 0.0f);
    output[3 * 2 + 1] = 0.5f;                       // cell 3 (row 1, column 1), class 1
    output[8 + 3 * 2 + 1] = 0.9f;                   // its second box
    const float box[] = {0.5f, 0.25f, 0.5f, 0.2f};  // square roots of w and h
    std::copy(std::begin(box), std::end(box), output.begin() + 16 + (3 * 2 + 1) * 4);
    std::vector<Candidate> found;
    decode_head(graph.nodes.back(), output.data(), graph.input, {0.2f, false, false, 100, 50}, found);
    REQUIRE(found.size() == 8);
    check_box(found[7].box, 0.75 * 100, 0.625 * 50, 0.25 * 100, 0.04 * 50);
    check_prob(found[7], {0, 0.45});
    CHECK(found[7].objectness == 0.9f);
    CHECK(found[0].objectness == 0);
}

TEST_CASE("flatten: one detection per box and class, corners in pixels, boxes numbered") {
    Candidate first{}, second{};
    first.box = {0.5f, 0.5f, 0.2f, 0.4f};
    first.prob = {0, 0.6f, 0.7f};
    second.box = {0, 0, 0.5f, 0.5f};  // reaches out of the image and stays so
    second.prob = {0.9f, 0, 0};
    const std::vector<Detection> found = flatten({first, Candidate{}, second}, 100, 50);
    REQUIRE(found.size() == 3);
    CHECK(found[0].x1 == doctest::Approx(40));
    CHECK(found[0].y1 == doctest::Approx(15));
    CHECK(found[0].x2 == doctest::Approx(60));
    CHECK(found[0].y2 == doctest::Approx(35));
    CHECK(found[0].class_id == 1);
    CHECK(found[0].confidence == 0.6f);
    CHECK(found[1].class_id == 2);
    CHECK(found[0].box == found[1].box);
    CHECK(found[2].box == 2);
    CHECK(found[2].x1 == doctest::Approx(-25));
}

TEST_CASE("flatten: a box without finite corners is left out") {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    std::vector<Candidate> candidates(4);
    const Box boxes[] = {
        {0.5f, 0.5f, infinity, 0}, {0.5f, 0.5f, 0.2f, NAN}, {0.5f, 0.5f, 0.2f, 0.2f}, {0, 0, 1e38f, 1}};
    for (int i = 0; i < 4; ++i) {
        candidates[i].box = boxes[i];
        candidates[i].prob = {0.9f};
    }
    const std::vector<Detection> found = flatten(candidates, 100, 100);
    REQUIRE(found.size() == 1);
    CHECK(found[0].box == 2);
}

TEST_CASE("decoding a layer that is not a head is a defect that is named") {
    const Graph graph = graph_of("[net]\nwidth=8\nheight=8\nchannels=1\n[convolutional]\n");
    std::vector<Candidate> found;
    CHECK(error_of(Status::internal, [&] { decode_head(graph.nodes[0], nullptr, graph.input, {}, found); }) ==
          "net.cfg:5 [convolutional]: is not a detection head");
}
