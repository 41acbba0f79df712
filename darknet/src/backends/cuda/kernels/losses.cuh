// SPDX-License-Identifier: Apache-2.0
// Losses of heads. The rules are those of the host (losses/*.cuh), in their order for each prediction, and so are the
// bits of the deltas, to the rounding of expf, logf and atanf. Outputs and deltas are float32, dense.
#pragma once

#define DN_RESIDENT_BLOCKS 2

#include "losses/anchor_rules.cuh"
#include "losses/region_rules.cuh"
#include "portable.cuh"

namespace dn::cuda {

// Of a head with its truths. Deltas are 0 before the first launch; the order of launches is punish, assign, and for
// [yolo] and [Gaussian_yolo], where averages_boxes() says so, average.
template <class Head>
struct HeadLossArgs {
    Head head;
    int images;
    int most;                // truths of an image
    const int* counts;       // of truths, by image
    const TruthBox* truths;  // (images, most)
    AssignmentSums* sums;    // by truth
};
using AnchorLossArgs = HeadLossArgs<AnchorHead>;
using RegionLossArgs = HeadLossArgs<RegionHead>;

template <class Head>
DN_DEVICE long long predictions_of(const HeadLossArgs<Head>& a) {
    return static_cast<long long>(a.images) * a.head.width * a.head.height * a.head.anchors;
}

struct PredictionPlace {
    int image, cell, anchor;
};

template <class Head>
DN_DEVICE PredictionPlace prediction_place(const Head& head, long long number) {
    const Quotient cell = divide(number, head.anchors), image = divide(cell.quotient, head.width * head.height);
    return {static_cast<int>(image.quotient), image.rest, cell.rest};
}

// One thread a prediction.
template <class Head>
DN_DEVICE void punish_predictions(const HeadLossArgs<Head>& a) {
    for (long long k = first_index(); k < predictions_of(a); k += index_step()) {
        const PredictionPlace at = prediction_place(a.head, k);
        punish(a.head, prediction_of(a.head, at.image, at.cell, at.anchor),
               a.truths + static_cast<long long>(at.image) * a.most, a.counts[at.image]);
    }
}

template <class Head>
DN_DEVICE bool is_first_of_cell(const Head& head, const TruthBox* truths, int truth, int cell) {
    for (int earlier = 0; earlier < truth; ++earlier)
        if (cell_of(head, truths[earlier]) == cell) return false;
    return true;
}

// One thread a truth. The first truth of a cell takes with it the others of that cell, in their order, for they may
// change the same prediction.
template <class Head>
DN_DEVICE void assign_truths(const HeadLossArgs<Head>& a) {
    for (long long k = first_index(); k < static_cast<long long>(a.images) * a.most; k += index_step()) {
        const Quotient at = divide(k, a.most);
        const int image = static_cast<int>(at.quotient), count = a.counts[image];
        if (at.rest >= count) continue;
        const TruthBox* truths = a.truths + at.quotient * a.most;
        AssignmentSums sums{0, 0, 0, 0};
        const int cell = cell_of(a.head, truths[at.rest]);
        const bool first = is_first_of_cell(a.head, truths, at.rest, cell);
        for (int t = at.rest; first && t < count; ++t)
            if (cell_of(a.head, truths[t]) == cell) assign_truth(a.head, image, truths[t], sums);
        a.sums[k] = sums;
    }
}

DN_DEVICE void anchor_punish(const AnchorLossArgs& a) { punish_predictions(a); }
DN_DEVICE void anchor_assign(const AnchorLossArgs& a) { assign_truths(a); }
DN_DEVICE void region_punish(const RegionLossArgs& a) { punish_predictions(a); }
DN_DEVICE void region_assign(const RegionLossArgs& a) { assign_truths(a); }

// One thread a prediction.
DN_DEVICE void anchor_average(const AnchorLossArgs& a) {
    for (long long k = first_index(); k < predictions_of(a); k += index_step()) {
        const PredictionPlace at = prediction_place(a.head, k);
        average_box(a.head, prediction_of(a.head, at.image, at.cell, at.anchor));
    }
}

// -- what a loss reports ---------------------------------------------------------------------------------------------

// Squares of deltas, and of those that are entries 0 .. boxes - 1 of their prediction.
struct SquareSums {
    double all, boxes;
};

struct SquaresArgs {
    const float* deltas;
    long long count;
    int entries, boxes;
    SquareSums* parts;  // by block
};

struct LossTotals {
    SquareSums squares;
    AssignmentSums sums;
};

struct LossTotalsArgs {
    const SquareSums* parts;
    int part_count;
    int images, most;   // as those of HeadLossArgs
    const int* counts;  // likewise
    const AssignmentSums* sums;
    LossTotals* totals;
};

// Sum over the block, in a fixed order, returned to thread 0. Every thread must call it.
DN_DEVICE double block_sum(double value) {
    DN_SHARED(double, sums, kThreads);
    const int thread = static_cast<int>(threadIdx.x);
    __syncthreads();  // a sum before this one has been read
    sums[thread] = value;
    for (int step = kThreads / 2; step > 0; step /= 2) {
        __syncthreads();
        if (thread < step) sums[thread] += sums[thread + step];
    }
    return sums[thread];
}

DN_DEVICE void sum_squares(const SquaresArgs& a) {
    double all = 0, boxes = 0;
    for (long long k = first_index(); k < a.count; k += index_step()) {
        const double value = a.deltas[k];
        all += value * value;
        if (divide(k, a.entries).rest < a.boxes) boxes += value * value;
    }
    all = block_sum(all);
    boxes = block_sum(boxes);
    if (threadIdx.x == 0) a.parts[blockIdx.x] = {all, boxes};
}

// On one block.
DN_DEVICE void sum_loss(const LossTotalsArgs& a) {
    double all = 0, boxes = 0, iou = 0, distance = 0, count = 0, rewritten = 0;
    for (int k = static_cast<int>(threadIdx.x); k < a.part_count; k += kThreads) {
        all += a.parts[k].all;
        boxes += a.parts[k].boxes;
    }
    for (int k = static_cast<int>(threadIdx.x); k < a.images * a.most; k += kThreads) {
        const int image = k / a.most;
        if (k - image * a.most >= a.counts[image]) continue;
        iou += a.sums[k].iou;
        distance += a.sums[k].distance;
        count += a.sums[k].count;
        rewritten += a.sums[k].rewritten;
    }
    all = block_sum(all);
    boxes = block_sum(boxes);
    iou = block_sum(iou);
    distance = block_sum(distance);
    count = block_sum(count);
    rewritten = block_sum(rewritten);
    if (threadIdx.x > 0) return;
    a.totals->squares = {all, boxes};
    a.totals->sums = {static_cast<float>(iou), static_cast<float>(distance), static_cast<int>(count),
                      static_cast<int>(rewritten)};
}

// delta of the output <- scale * delta of the loss, or added to it
struct LossDeltaArgs {
    const float* loss;
    float* delta;
    long long count;
    const float* scale;
    bool add;
};

DN_DEVICE void pass_back_loss(const LossDeltaArgs& a) {
    const float scale = *a.scale;
    for (long long k = first_index(); k < a.count; k += index_step()) {
        const float value = scale * a.loss[k];
        a.delta[k] = a.add ? a.delta[k] + value : value;
    }
}

DN_PLAIN_KERNEL(losses, anchor_punish, AnchorLossArgs)
DN_PLAIN_KERNEL(losses, anchor_assign, AnchorLossArgs)
DN_PLAIN_KERNEL(losses, anchor_average, AnchorLossArgs)
DN_PLAIN_KERNEL(losses, region_punish, RegionLossArgs)
DN_PLAIN_KERNEL(losses, region_assign, RegionLossArgs)
DN_PLAIN_KERNEL(losses, sum_squares, SquaresArgs)
DN_PLAIN_KERNEL(losses, sum_loss, LossTotalsArgs)
DN_PLAIN_KERNEL(losses, pass_back_loss, LossDeltaArgs)

}  // namespace dn::cuda
