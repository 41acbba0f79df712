// SPDX-License-Identifier: Apache-2.0
// Detection heads: their activations, and the boxes above a threshold. Their outputs are float32 whatever the storage
// type.
#pragma once

#include "functions.cuh"

namespace dn::cuda {

// [yolo] and [Gaussian_yolo]: logistic on all entries of an anchor but width and height; x and y grow by scale_x_y
// around the cell's middle. The backward pass is copy_from_f32.
struct YoloArgs {
    View src, dst;
    long long pixels;
    int channels, entries;
    int x, y, width, height;  // which entries those are
    float scale_x_y;
    bool new_coords;  // the layer before has done the logistic
};

template <class T>
DN_DEVICE void yolo(const YoloArgs& a) {
    for (long long k = first_index(); k < a.pixels * a.channels; k += index_step()) {
        const Quotient at = divide(k, a.channels);
        const int entry = at.rest % a.entries;
        float value = load<T>(a.src, at.quotient, at.rest);
        if (!a.new_coords && entry != a.width && entry != a.height) value = logistic(value);
        if (entry == a.x || entry == a.y) value = a.scale_x_y * value - (a.scale_x_y - 1) / 2;
        store<float>(a.dst, at.quotient, at.rest, value);
    }
}

// [region]: logistic on the objectness, softmax over the classes or over each group of a tree. The planes of its output
// hold the boxes one after the other: value q of (cells, channels) is value q of (channels, cells).
struct RegionArgs {
    View src;  // backward: delta of the input
    View dst;  // backward: delta of the output
    int images, cells;
    int anchors, coords, classes;
    const int *group_offset, *group_size;  // of the tree's groups; null: one softmax, or none
    int groups;
    bool softmax, add;
};

DN_DEVICE float* region_value(const RegionArgs& a, long long image, int cell, int channel) {
    const int channels = a.anchors * (a.coords + 1 + a.classes), number = cell * channels + channel;
    return static_cast<float*>(a.dst.data) + (image * a.cells + number % a.cells) * a.dst.pitch + number / a.cells;
}

// Of classes first, first + 1, ... of a box whose entries begin at channel `box`.
template <class T>
DN_DEVICE void region_softmax(const RegionArgs& a, long long image, int cell, int first, int count) {
    const long long pixel = image * a.cells + cell;
    float largest = load<T>(a.src, pixel, first), sum = 0;
    for (int c = first + 1; c < first + count; ++c) largest = fmaxf(largest, load<T>(a.src, pixel, c));
    for (int c = first; c < first + count; ++c) sum += expf(load<T>(a.src, pixel, c) - largest);
    for (int c = first; c < first + count; ++c)
        *region_value(a, image, cell, c) = expf(load<T>(a.src, pixel, c) - largest) / sum;
}

// One thread a box.
template <class T>
DN_DEVICE void region(const RegionArgs& a) {
    const int entries = a.coords + 1 + a.classes;
    for (long long k = first_index(); k < static_cast<long long>(a.images) * a.cells * a.anchors; k += index_step()) {
        const Quotient at = divide(k, a.anchors), image = divide(at.quotient, a.cells);
        const int box = at.rest * entries, classes = box + a.coords + 1;
        for (int e = 0; e < a.coords; ++e)
            *region_value(a, image.quotient, image.rest, box + e) = load<T>(a.src, at.quotient, box + e);
        *region_value(a, image.quotient, image.rest, box + a.coords) =
            logistic(load<T>(a.src, at.quotient, box + a.coords));
        if (a.group_offset) {
            for (int g = 0; g < a.groups; ++g)
                region_softmax<T>(a, image.quotient, image.rest, classes + a.group_offset[g], a.group_size[g]);
        } else if (a.softmax) {
            region_softmax<T>(a, image.quotient, image.rest, classes, a.classes);
        } else {
            for (int c = classes; c < classes + a.classes; ++c)
                *region_value(a, image.quotient, image.rest, c) = load<T>(a.src, at.quotient, c);
        }
    }
}

// The loss has made the delta that of the input already.
template <class T>
DN_DEVICE void region_backward(const RegionArgs& a) {
    const int channels = a.anchors * (a.coords + 1 + a.classes);
    for (long long k = first_index(); k < static_cast<long long>(a.images) * a.cells * channels; k += index_step()) {
        const Quotient at = divide(k, channels), image = divide(at.quotient, a.cells);
        put<T>(a.src, at.quotient, at.rest, *region_value(a, image.quotient, image.rest, at.rest), a.add);
    }
}

// The boxes of a [yolo] or [Gaussian_yolo] head whose objectness is above a threshold, in the order (image, cell,
// anchor). Two launches on a grid of a thread a box: the first counts by block, the second writes the records, of which
// each block knows by the counts before it where they belong.
struct BoxesArgs {
    View output;      // of the head, float32
    long long boxes;  // of all images
    int anchors, entries, objectness;
    float thresh;
    int* counts;     // by block
    float* records;  // (most, 1 + entries): the bits of the box's number, then its entries
    long long most;  // those behind it are counted and not written
    int* found;
};

DN_DEVICE bool is_found(const BoxesArgs& a, long long box) {
    if (box >= a.boxes) return false;
    const Quotient at = divide(box, a.anchors);
    return load<float>(a.output, at.quotient, at.rest * a.entries + a.objectness) > a.thresh;
}

DN_DEVICE void count_boxes(const BoxesArgs& a) {
    const float found = block_sum(is_found(a, first_index()) ? 1.0f : 0.0f);
    if (threadIdx.x == 0) a.counts[blockIdx.x] = static_cast<int>(found);
}

// Records in front of this block's. Every thread must call it.
DN_DEVICE int earlier_boxes(const BoxesArgs& a) {
    DN_SHARED(int, sums, kThreads);
    const int thread = static_cast<int>(threadIdx.x), blocks = static_cast<int>(blockIdx.x);
    int sum = 0;
    for (int block = thread; block < blocks; block += kThreads) sum += a.counts[block];
    sums[thread] = sum;
    for (int step = kThreads / 2; step > 0; step /= 2) {
        __syncthreads();
        if (thread < step) sums[thread] += sums[thread + step];
    }
    __syncthreads();
    return sums[0];
}

DN_DEVICE void collect_boxes(const BoxesArgs& a) {
    DN_SHARED(int, flags, kThreads);
    DN_SHARED(int, chosen, kThreads);  // threads of the boxes that are found, in their order
    const int thread = static_cast<int>(threadIdx.x), width = 1 + a.entries;
    const bool mine = is_found(a, first_index());
    flags[thread] = mine;
    const int earlier = earlier_boxes(a), count = a.counts[blockIdx.x];
    if (mine) {  // few do
        int rank = 0;
        for (int other = 0; other < thread; ++other) rank += flags[other];
        chosen[rank] = thread;
    }
    __syncthreads();
    if (thread == 0 && blockIdx.x == gridDim.x - 1) *a.found = earlier + count;
    for (int k = thread; k < count * width; k += kThreads) {
        const int rank = k / width, entry = k % width - 1;
        if (earlier + rank >= a.most) return;
        const long long box = static_cast<long long>(blockIdx.x) * kThreads + chosen[rank];
        const Quotient at = divide(box, a.anchors);
        a.records[static_cast<long long>(earlier + rank) * width + 1 + entry] =
            entry < 0 ? float_of(static_cast<unsigned>(box))
                      : load<float>(a.output, at.quotient, at.rest * a.entries + entry);
    }
}

DN_KERNEL(heads, yolo, YoloArgs)
DN_KERNEL(heads, region, RegionArgs)
DN_KERNEL(heads, region_backward, RegionArgs)
DN_PLAIN_KERNEL(heads, count_boxes, BoxesArgs)
DN_PLAIN_KERNEL(heads, collect_boxes, BoxesArgs)

}  // namespace dn::cuda
