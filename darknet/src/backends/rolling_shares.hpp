// SPDX-License-Identifier: Apache-2.0
// Rolling statistics of a training whose mini-batches are computed by several workers. One trainer alone moves them by
// every mini-batch: r <- m r + s, where the share s depends on the mini-batch alone. Workers exchange the shares, and
// each moves its own copy by all of them in the order of the mini-batches: the same operations, the same bits.
#pragma once

#include "train_state.hpp"

namespace dn {

constexpr float kRollingMomentum = 0.99f;

class RollingShares {
public:
    // Throws Error(cfg) when layers share batch norm (share_index): a mini-batch would move it several times.
    RollingShares(const Graph& graph, int frozen_before);

    std::size_t size() const { return size_; }  // floats of one mini-batch
    // Adds the share of the mini-batch that ended.
    void take(const TrainState& state);
    // Those taken since clear(), one after the other.
    const Floats& taken() const { return taken_; }
    void clear() { taken_.clear(); }
    // Moves the network's statistics by the shares of all workers: `all` holds what each of them took, worker after
    // worker. Mini-batch k is number k / workers of worker k % workers. Its caller locks Parameters::mutex.
    void move(TrainState& state, const float* all, int workers) const;

private:
    struct Array {
        int node;
        Role role;
        std::size_t count;
    };

    std::vector<Array> arrays_;
    std::size_t size_ = 0;
    Floats taken_;
};

}  // namespace dn
