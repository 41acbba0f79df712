// SPDX-License-Identifier: Apache-2.0
// Darknet's non-maximum suppression: which boxes survive, and the order in which it leaves them.
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>

#include "detect.hpp"

namespace dn {
namespace {

bool apart(const Box& a, const Box& b) {
    return common_length(a.x, a.w, b.x, b.w) <= 0 || common_length(a.y, a.h, b.y, b.h) <= 0;
}

class Suppressor {
public:
    Suppressor(float thresh, NmsKind kind, float beta) : thresh_(thresh), kind_(kind), beta_(beta) {}

    // Whether `b` is suppressed by the better box `a`.
    bool operator()(const Box& a, const Box& b) const {
        if (thresh_ >= 0 && apart(a, b)) return false;  // no measure exceeds 0 without overlap; spares most of the work
        return measure(a, b) > thresh_;
    }

private:
    float measure(const Box& a, const Box& b) const {
        constexpr float greedy_beta = 0.6f;  // Darknet's greedynms has a fixed exponent
        if (kind_ == NmsKind::greedy) return diou(a, b, greedy_beta);
        if (kind_ == NmsKind::diou) return diou(a, b, beta_);
        return iou(a, b);
    }

    float thresh_;
    NmsKind kind_;
    float beta_;
};

// Darknet's partition: records without objectness change places with the last ones. Returns how many have it.
std::size_t partition_by_objectness(std::vector<Candidate>& candidates) {
    std::size_t i = 0, end = candidates.size();
    while (i < end) {
        if (candidates[i].objectness == 0)
            std::swap(candidates[i], candidates[--end]);
        else
            ++i;
    }
    return end;
}

// Candidates 0..total-1 in the order of `rank`, ascending; the others stay.
void reorder(std::vector<Candidate>& candidates, const std::vector<std::int64_t>& rank) {
    std::vector<std::size_t> order(rank.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return rank[a] < rank[b]; });
    std::vector<Candidate> sorted;
    sorted.reserve(order.size());
    for (const std::size_t i : order) sorted.push_back(std::move(candidates[i]));
    std::move(sorted.begin(), sorted.end(), candidates.begin());
}

std::vector<std::vector<std::size_t>> members_of_classes(const std::vector<Candidate>& candidates, std::size_t total,
                                                         int classes) {
    std::vector<std::vector<std::size_t>> members(classes);
    for (std::size_t i = 0; i < total; ++i) {
        const std::vector<float>& prob = candidates[i].prob;
        for (std::size_t c = 0; c < std::min<std::size_t>(classes, prob.size()); ++c)
            if (prob[c] > 0) members[c].push_back(i);
    }
    return members;
}

// `sorted`: candidates with a probability for class c, best first.
void suppress_class(std::vector<Candidate>& candidates, const std::vector<std::size_t>& sorted, int c,
                    const Suppressor& suppresses) {
    for (std::size_t i = 0; i < sorted.size(); ++i) {
        const Candidate& better = candidates[sorted[i]];
        if (better.prob[c] == 0) continue;
        for (std::size_t j = i + 1; j < sorted.size(); ++j) {
            Candidate& worse = candidates[sorted[j]];
            if (worse.prob[c] != 0 && suppresses(better.box, worse.box)) worse.prob[c] = 0;
        }
    }
}

}  // namespace

// Darknet sorts all records again for every class, stably and by that class's probability alone. Records without one
// therefore keep their order behind those that have one, which is what `rank` records without moving anything.
void nms_sort(std::vector<Candidate>& candidates, int classes, float thresh, NmsKind kind, float beta) {
    const std::size_t total = partition_by_objectness(candidates);
    const Suppressor suppresses(thresh, kind, beta);
    std::vector<std::vector<std::size_t>> members = members_of_classes(candidates, total, classes);
    std::vector<std::int64_t> rank(total);
    std::iota(rank.begin(), rank.end(), std::int64_t{0});
    std::int64_t front = 0;
    for (int c = 0; c < classes; ++c) {
        std::sort(members[c].begin(), members[c].end(), [&](std::size_t a, std::size_t b) {
            const float pa = candidates[a].prob[c], pb = candidates[b].prob[c];
            return pa != pb ? pa > pb : rank[a] < rank[b];
        });
        front -= static_cast<std::int64_t>(members[c].size());
        for (std::size_t k = 0; k < members[c].size(); ++k) rank[members[c][k]] = front + static_cast<std::int64_t>(k);
        suppress_class(candidates, members[c], c, suppresses);
    }
    reorder(candidates, rank);
}

void nms_objectness(std::vector<Candidate>& candidates, int classes, float thresh) {
    const std::size_t total = partition_by_objectness(candidates);
    const Suppressor suppresses(thresh, NmsKind::standard, 0);
    std::stable_sort(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(total),
                     [](const Candidate& a, const Candidate& b) { return a.objectness > b.objectness; });
    for (std::size_t i = 0; i < total; ++i) {
        if (candidates[i].objectness == 0) continue;
        for (std::size_t j = i + 1; j < total; ++j) {
            Candidate& worse = candidates[j];
            if (worse.objectness == 0 || !suppresses(candidates[i].box, worse.box)) continue;
            worse.objectness = 0;
            std::fill_n(worse.prob.begin(), std::min<std::size_t>(classes, worse.prob.size()), 0.0f);
        }
    }
}

}  // namespace dn
