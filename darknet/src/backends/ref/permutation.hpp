// SPDX-License-Identifier: Apache-2.0
// Layers that put each value of an image somewhere else, [reorg] and [reorg3d], and the map that both know.
#pragma once

#include <vector>

#include "ref.hpp"

namespace dn::ref {

using Indices = std::vector<std::size_t>;

class Permutation : public RefKernel {
public:
    // from: for each value of an output image, its place in the input image.
    Permutation(const HostContext& context, Indices from) : RefKernel(context), from_(std::move(from)) {}

    void forward() override {
        for (int n = 0; n < batch(); ++n)
            for (std::size_t to = 0; to < from_.size(); ++to) dst(n)[to] = src(n)[from_[to]];
    }

    void backward() override {
        for (int n = 0; n < batch() && dsrc(0); ++n)
            for (std::size_t to = 0; to < from_.size(); ++to) dsrc(n)[from_[to]] += ddst(n)[to];
    }

private:
    Indices from_;
};

// Darknet's map of flat indices: where in an image (c/s^2, h s, w s) the values of one (c, h, w) come to stand.
Indices spread_blocks(Shape shape, int stride);
Indices inverse(const Indices& indices);

}  // namespace dn::ref
