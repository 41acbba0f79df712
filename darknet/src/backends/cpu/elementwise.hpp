// SPDX-License-Identifier: Apache-2.0
// Walks tensors in runs of channels that fit a staging row, on all threads.
#pragma once

#include <algorithm>
#include <initializer_list>

#include "rows.hpp"
#include "runtime.hpp"

namespace dn::cpu {

// `count` consecutive values, at most kRow, found in a tensor at index(tensor).
struct Run {
    std::size_t pixel, channel, count;
    std::size_t index(const Tensor& tensor) const { return pixel * tensor.pitch + channel; }
};

inline bool all_dense(std::initializer_list<const Tensor*> tensors) {
    return std::all_of(tensors.begin(), tensors.end(), [](const Tensor* tensor) { return tensor->dense(); });
}

// Calls body(run) over all values of `tensor`. flat: the body ignores which pixel and channel a value belongs to and
// every tensor that it touches is dense, so that runs may cross pixels.
template <class Body>
void for_each_run(const Tensor& tensor, bool flat, const Body& body) {
    const std::size_t total = tensor.size(), channels = tensor.shape.c;
    if (flat) {
        parallel_for(static_cast<int>((total + kRow - 1) / kRow), [&](int i) {
            const std::size_t first = i * kRow;
            body(Run{0, first, std::min(kRow, total - first)});
        });
        return;
    }
    parallel_for(static_cast<int>(total / channels), [&](int pixel) {
        for (std::size_t c = 0; c < channels; c += kRow)
            body(Run{static_cast<std::size_t>(pixel), c, std::min(kRow, channels - c)});
    });
}

inline void load(float* row, const Tensor& tensor, const Run& run) {
    load(row, at(tensor.data, tensor.type, run.index(tensor)), tensor.type, run.count);
}

inline void store(const Tensor& tensor, const Run& run, const float* row) {
    store(at(tensor.data, tensor.type, run.index(tensor)), tensor.type, row, run.count);
}

}  // namespace dn::cpu
