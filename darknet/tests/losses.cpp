// SPDX-License-Identifier: Apache-2.0
// Overlap metrics, their gradients, one whole [yolo] head and a learning rate, to numbers computed with Darknet.
#include <cmath>

#include "losses/loss.hpp"
#include "losses/overlap.cuh"
#include "solver.hpp"
#include "support.hpp"
#include "tensor.hpp"

using namespace dn;
using namespace dn::test;

namespace {

const Box kPredictions[] = {
    {0.5f, 0.5f, 0.3f, 0.2f}, {0.2f, 0.3f, 0.1f, 0.1f}, {0.5f, 0.5f, 0.4f, 0.4f}, {0.4f, 0.6f, 0.25f, 0.15f}};
const Box kTruths[] = {
    {0.56f, 0.47f, 0.2f, 0.3f}, {0.7f, 0.6f, 0.2f, 0.1f}, {0.5f, 0.5f, 0.2f, 0.1f}, {0.45f, 0.62f, 0.3f, 0.28f}};
const IouKind kKinds[] = {IouKind::iou, IouKind::giou, IouKind::diou, IouKind::ciou};
// By pair of boxes and kind.
const float kMetrics[4][4] = {{0.463415f, 0.345135f, 0.356243f, 0.432581f},
                              {0.000000f, -0.884615f, -0.723952f, -0.585380f},
                              {0.125000f, 0.125000f, 0.125000f, 0.123080f},
                              {0.384615f, 0.348901f, 0.301723f, 0.368347f}};
const BoxGradient kGradients[4][4] = {{{3.56930f, 0.00000f, 1.30875f, 3.39084f},
                                       {4.26303f, 0.00000f, 0.61502f, 5.75643f},
                                       {4.29468f, -0.32241f, 1.34902f, 3.39084f},
                                       {4.29468f, -0.32241f, 1.34228f, 3.40095f}},
                                      {{0.00000f, 0.00000f, 0.00000f, 0.00000f},
                                       {0.53254f, 0.96154f, 1.77515f, 2.50000f},
                                       {3.01940f, 1.83168f, 0.65133f, 0.40082f},
                                       {3.01940f, 1.83168f, 0.65172f, 0.40043f}},
                                      {{0.00000f, 0.00000f, -0.62500f, -0.62500f},
                                       {0.00000f, 0.00000f, -0.62500f, -0.62500f},
                                       {0.00000f, 0.00000f, -0.62500f, -0.62500f},
                                       {0.00000f, 0.00000f, -0.62023f, -0.62977f}},
                                      {{2.36686f, 0.00000f, 1.05194f, 4.90905f},
                                       {3.68554f, 0.00000f, -0.26674f, 5.45850f},
                                       {2.96593f, 0.21736f, 1.07977f, 4.90905f},
                                       {2.96593f, 0.21736f, 1.07904f, 4.91026f}}};

void check_near(float found, float expected, float tolerance) {
    CHECK_MESSAGE(std::fabs(found - expected) <= tolerance, "found ", found, ", expected ", expected);
}

// The delta of a head of 2 anchors and 2 classes on a grid of 2x2, (14, 2, 2).
const float kDelta[] = {0.007331f,  0.000000f,  0.000000f,  -0.019597f, 0.009536f,  0.000000f,  0.000000f,  -0.007405f,
                        0.098707f,  0.000000f,  0.000000f,  -0.076730f, -0.092499f, 0.000000f,  0.000000f,  0.092500f,
                        0.686400f,  -0.378832f, -0.506724f, 0.369199f,  -0.688365f, 0.000000f,  0.000000f,  0.575825f,
                        0.670413f,  0.000000f,  0.000000f,  -0.510083f, -0.002967f, 0.000000f,  0.000000f,  -0.007203f,
                        0.109996f,  0.000000f,  0.000000f,  -0.008016f, -0.086614f, 0.000000f,  0.000000f,  -0.058833f,
                        0.012102f,  0.000000f,  0.000000f,  0.055847f,  0.613529f,  -0.516789f, -0.637594f, 0.310669f,
                        -0.657959f, 0.000000f,  0.000000f,  0.674308f,  0.683663f,  0.000000f,  0.000000f,  -0.639773f};

}  // namespace

TEST_CASE("losses: overlap metrics equal Darknet's") {
    for (int pair = 0; pair < 4; ++pair)
        for (int kind = 0; kind < 4; ++kind) {
            CAPTURE(pair);
            CAPTURE(kind);
            check_near(overlap(kKinds[kind], kPredictions[pair], kTruths[pair]), kMetrics[pair][kind], 2e-6f);
        }
}

TEST_CASE("losses: gradients of the overlap metrics equal Darknet's") {
    for (int pair = 0; pair < 4; ++pair)
        for (int kind = 0; kind < 4; ++kind) {
            CAPTURE(pair);
            CAPTURE(kind);
            const BoxGradient found = iou_gradient(kKinds[kind], kPredictions[pair], kTruths[pair]);
            const BoxGradient expected = kGradients[pair][kind];
            check_near(found.x, expected.x, 2e-5f);
            check_near(found.y, expected.y, 2e-5f);
            check_near(found.w, expected.w, 2e-5f);
            check_near(found.h, expected.h, 2e-5f);
        }
}

TEST_CASE("losses: a whole [yolo] head equals Darknet's") {
    const Graph graph = graph_of(
        "[net]\nwidth=2\nheight=2\nchannels=14\n[yolo]\nmask=0,1\nnum=2\nanchors=0.8,0.9, 1.2,1.1\nclasses=2\n"
        "iou_loss=ciou\niou_normalizer=0.07\nignore_thresh=0.7\niou_thresh=0.213\nscale_x_y=1.05\n");
    const Node& head = graph.nodes[0];
    float output[56], delta[56] = {};
    for (int k = 0; k < 56; ++k) {
        const int entry = k / 4 % 7;
        const auto x = static_cast<float>(0.8 * std::sin(0.7 * k));
        const float logistic = 1 / (1 + std::exp(-x));
        output[k] = entry == 2 || entry == 3 ? x : entry < 2 ? 1.05f * logistic - 0.025f : logistic;
    }
    const float truths[] = {0.3f, 0.35f, 0.4f, 0.5f, 1, 0, 0.7f, 0.6f, 0.55f, 0.45f, 0, 0};
    const LossReport report = loss(head, {{truths, 1, 12}, {3, 2, 2}, 0}, output, delta);
    CHECK(report.cost == doctest::Approx(5.476769).epsilon(1e-6));
    CHECK(report.count == 4);
    CHECK(report.iou_sum / 4 == doctest::Approx(0.383736).epsilon(2e-6));
    CHECK(report.class_loss == doctest::Approx(5.433630).epsilon(1e-6));
    CHECK(report.iou_loss == doctest::Approx(0.059778).epsilon(2e-5));
    CHECK(report.total_loss == doctest::Approx(5.493409).epsilon(1e-6));
    CHECK(report.rewritten == 0);
    for (int k = 0; k < 56; ++k) {
        CAPTURE(k);
        check_near(delta[k], kDelta[k], 2e-6f);
    }
}

TEST_CASE("losses: cycles of one length give the same rate in each, however late") {
    NetParams net;
    net.learning_rate = 0.1f;
    net.policy = "sgdr";
    net.sgdr_cycle = 100;
    net.sgdr_mult = 1;
    // The last iteration of a cycle is its end, and the next the first of another, as in Darknet's loop.
    for (const int at : {1, 50, 99, 100}) {
        const double low = net.learning_rate_min, half = (0.1f - low) / 2;
        const double expected = low + half * (1 + std::cos(3.14159265 * at / 100));
        for (const std::int64_t cycle : {std::int64_t{0}, std::int64_t{1}, std::int64_t{7}, std::int64_t{1} << 40})
            CHECK(learning_rate(net, 100 * cycle + at) == doctest::Approx(expected).epsilon(1e-6));
    }
    net.sgdr_mult = 2;
    CHECK(std::isfinite(learning_rate(net, INT64_MAX)));
}

TEST_CASE("losses: burn-in and steps give Darknet's learning rates") {
    NetParams net;
    net.learning_rate = 0.00261f;
    net.burn_in = 5;
    net.power = 4;
    net.policy = "steps";
    net.steps = {10, 13};
    net.scales = {0.1f, 0.1f};
    const std::pair<int, double> expected[] = {{1, 4.176e-6}, {2, 6.6816e-5}, {3, 3.38256e-4}, {5, 0.00261},
                                               {9, 0.00261},  {10, 0.000261}, {13, 0.0000261}};
    for (const auto& pair : expected) {
        CAPTURE(pair.first);
        CHECK(learning_rate(net, pair.first) == doctest::Approx(pair.second).epsilon(1e-6));
    }
}
