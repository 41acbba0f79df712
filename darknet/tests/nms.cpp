// SPDX-License-Identifier: Apache-2.0
// Overlaps worked out by hand, and non-maximum suppression against a literal transcription of its description.
#include <algorithm>
#include <cmath>
#include <random>

#include "detect.hpp"
#include "support.hpp"

using namespace dn;

namespace {

Candidate candidate(Box box, float objectness, std::vector<float> prob) {
    Candidate out{};
    out.box = box;
    out.objectness = objectness;
    out.prob = std::move(prob);
    return out;
}

// The procedure as it is described: records sorted again for every class, by that class's probability, stably.
void nms_by_the_book(std::vector<Candidate>& d, int classes, float thresh, float (*measure)(Box, Box)) {
    int total = static_cast<int>(d.size());
    for (int i = 0; i < total;) {
        if (d[i].objectness == 0)
            std::swap(d[i], d[--total]);
        else
            ++i;
    }
    for (int c = 0; c < classes; ++c) {
        std::stable_sort(d.begin(), d.begin() + total,
                         [c](const Candidate& a, const Candidate& b) { return a.prob[c] > b.prob[c]; });
        for (int i = 0; i < total; ++i) {
            if (d[i].prob[c] == 0) continue;
            for (int j = i + 1; j < total; ++j)
                if (measure(d[i].box, d[j].box) > thresh) d[j].prob[c] = 0;
        }
    }
}

std::vector<Candidate> random_candidates(int seed, int count, int classes) {
    std::mt19937 random(seed);
    const auto uniform = [&](int steps) { return static_cast<float>(random() % steps) / static_cast<float>(steps); };
    std::vector<Candidate> out;
    for (int i = 0; i < count; ++i) {
        std::vector<float> prob;
        // Coarse steps, so that there are ties and zeros.
        for (int c = 0; c < classes; ++c) prob.push_back(random() % 3 ? uniform(8) : 0);
        const Box box{uniform(10), uniform(10), 0.05f + uniform(10) / 2, 0.05f + uniform(10) / 2};
        out.push_back(candidate(box, random() % 5 ? uniform(16) : 0, std::move(prob)));
        out.back().uncertainty[0] = static_cast<float>(i);  // identifies the record
    }
    return out;
}

bool equal(const std::vector<Candidate>& a, const std::vector<Candidate>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Candidate& x, const Candidate& y) {
        return x.uncertainty[0] == y.uncertainty[0] && x.prob == y.prob && x.objectness == y.objectness;
    });
}

}  // namespace

TEST_CASE("iou: hand-worked overlaps") {
    const Box unit{0.5f, 0.5f, 1, 1};
    CHECK(iou(unit, unit) == 1);
    CHECK(iou(unit, {1, 0.5f, 1, 1}) == doctest::Approx(1.0 / 3));        // half of each: .5 / 1.5
    CHECK(iou(unit, {1, 1, 1, 1}) == doctest::Approx(0.25 / 1.75));       // a quarter
    CHECK(iou(unit, {0.5f, 0.5f, 0.5f, 0.5f}) == doctest::Approx(0.25));  // inside
    CHECK(iou(unit, {1.5f, 0.5f, 1, 1}) == 0);                            // edges touch
    CHECK(iou(unit, {5, 5, 1, 1}) == 0);
    CHECK(iou({0, 0, 0, 0}, {0, 0, 0, 0}) == 0);  // nothing over nothing
}

TEST_CASE("diou: the squared distance over the squared diagonal, to the power of beta, is taken off") {
    const Box unit{0.5f, 0.5f, 1, 1};
    CHECK(diou(unit, unit, 0.6f) == 1);
    // Shifted by .5: hull 1.5 x 1, diagonal^2 3.25, distance^2 .25.
    CHECK(diou(unit, {1, 0.5f, 1, 1}, 1) == doctest::Approx(1.0 / 3 - 0.25 / 3.25));
    CHECK(diou(unit, {1, 0.5f, 1, 1}, 0.6f) == doctest::Approx(1.0 / 3 - std::pow(0.25 / 3.25, 0.6)));
    // Apart by 3: no overlap, hull 4 x 1.
    CHECK(diou(unit, {3.5f, 0.5f, 1, 1}, 1) == doctest::Approx(-9.0 / 17));
    CHECK(diou({1, 1, 0, 0}, {1, 1, 0, 0}, 1) == 0);  // no hull: plain IoU
}

TEST_CASE("nms: the weaker of two overlapping boxes loses that class and no other - nothing is removed") {
    const Box box{0.5f, 0.5f, 0.4f, 0.4f}, near{0.52f, 0.5f, 0.4f, 0.4f}, far{0.1f, 0.1f, 0.1f, 0.1f};
    std::vector<Candidate> found{candidate(near, 0.8f, {0.6f, 0.7f}), candidate(box, 0.9f, {0.9f, 0}),
                                 candidate(far, 0.5f, {0.3f, 0})};
    nms_sort(found, 2, 0.45f, NmsKind::standard, 0.6f);
    REQUIRE(found.size() == 3);
    // Class 1 was sorted last: the only box that has it stands first, the others keep the order of class 0.
    CHECK(found[0].prob == std::vector<float>{0, 0.7f});
    CHECK(found[1].prob == std::vector<float>{0.9f, 0});
    CHECK(found[2].prob == std::vector<float>{0.3f, 0});
}

TEST_CASE("nms: the overlap must exceed the threshold strictly") {
    const Box a{0.5f, 0.5f, 1, 1}, inside{0.5f, 0.5f, 0.5f, 0.5f};  // IoU exactly .25
    for (const auto& [thresh, left] : {std::pair{0.25f, 0.5f}, std::pair{0.24f, 0.0f}}) {
        std::vector<Candidate> found{candidate(a, 1, {0.9f}), candidate(inside, 1, {0.5f})};
        nms_sort(found, 1, thresh, NmsKind::standard, 0.6f);
        CHECK(found[1].prob[0] == left);
    }
}

TEST_CASE("nms: greedy has the fixed exponent 0.6, diou takes beta_nms") {
    const Box a{0.5f, 0.5f, 1, 1}, shifted{0.75f, 0.5f, 1, 1};  // IoU .6, penalty (0.0625/2.5625)^beta
    const auto survives = [&](NmsKind kind, float beta) {
        std::vector<Candidate> found{candidate(a, 1, {0.9f}), candidate(shifted, 1, {0.5f})};
        nms_sort(found, 1, 0.55f, kind, beta);
        return found[1].prob[0] > 0;
    };
    CHECK_FALSE(survives(NmsKind::standard, 0.6f));  // .6 > .55
    CHECK(survives(NmsKind::greedy, 2.0f));          // .6 - .108 whatever beta says
    CHECK(survives(NmsKind::diou, 0.6f));
    CHECK_FALSE(survives(NmsKind::diou, 2.0f));  // .6 - .0006
    CHECK_FALSE(survives(NmsKind::corners, 0.6f));
}

TEST_CASE("nms: records without objectness change places with the last ones and take no part") {
    const Box box{0.5f, 0.5f, 0.4f, 0.4f};
    std::vector<Candidate> found{candidate(box, 0, {0.9f}), candidate(box, 0.5f, {0.3f}), candidate(box, 0.7f, {0.4f})};
    nms_sort(found, 1, 0.45f, NmsKind::standard, 0.6f);
    CHECK(found[0].prob[0] == 0.4f);
    CHECK(found[1].prob[0] == 0);  // suppressed
    CHECK(found[2].prob[0] == 0.9f);
    CHECK(found[2].objectness == 0);
}

TEST_CASE("nms: order and values equal a literal transcription, ties included") {
    const auto greedy = [](Box a, Box b) { return diou(a, b, 0.6f); };
    for (int seed = 0; seed < 200; ++seed) {
        std::vector<Candidate> ours = random_candidates(seed, seed % 60, 4);
        std::vector<Candidate> book = ours;
        if (seed % 2) {
            nms_sort(ours, 4, 0.3f, NmsKind::standard, 0.6f);
            nms_by_the_book(book, 4, 0.3f, iou);
        } else {
            nms_sort(ours, 4, 0.2f, NmsKind::greedy, 0.6f);
            nms_by_the_book(book, 4, 0.2f, greedy);
        }
        CHECK(equal(ours, book));
    }
}

TEST_CASE("nms by objectness: the better box takes everything from those it overlaps") {
    const Box box{0.5f, 0.5f, 0.4f, 0.4f}, far{0.1f, 0.1f, 0.1f, 0.1f};
    std::vector<Candidate> found{candidate(box, 0.5f, {0.2f, 0.3f}), candidate(far, 0.4f, {0.4f, 0}),
                                 candidate(box, 0.9f, {0.1f, 0.1f})};
    nms_objectness(found, 2, 0.4f);
    CHECK(found[0].objectness == 0.9f);
    CHECK(found[1].objectness == 0);
    CHECK(found[1].prob == std::vector<float>{0, 0});
    CHECK(found[2].prob == std::vector<float>{0.4f, 0});
}
