// SPDX-License-Identifier: Apache-2.0
// Compiled without fused multiply-add, as the batch norm of the backends (see CMakeLists.txt).
#include "rolling_shares.hpp"

#include "../error.hpp"

namespace dn {

RollingShares::RollingShares(const Graph& graph, int frozen_before) {
    for (const Node& node : graph.nodes) {
        if (node.index < frozen_before) continue;
        const Node& owner = graph.node(weights_owner(graph, node.index));
        for (const ArraySpec& spec : owner.arrays) {
            if (!is_rolling(spec.role)) continue;
            if (owner.index != node.index)
                throw Error(Status::cfg, node.where,
                            "shares the batch norm of another layer (share_index), which workers that share an update "
                            "cannot train; use one worker");
            arrays_.push_back({node.index, spec.role, spec.count});
            size_ += spec.count;
        }
    }
}

void RollingShares::take(const TrainState& state) {
    std::size_t at = taken_.size();
    taken_.resize(at + size_);
    for (const Array& array : arrays_) {
        state.get_share(array.node, array.role, taken_.data() + at);
        at += array.count;
    }
}

void RollingShares::move(TrainState& state, const float* all, int workers) const {
    const std::size_t each = size_ ? taken_.size() / size_ : 0;  // mini-batches of a worker
    std::size_t first = 0;
    for (const Array& array : arrays_) {
        Floats rolling(array.count);
        state.get(StateKind::parameters, array.node, array.role, rolling.data());
        for (std::size_t number = 0; number < each; ++number)
            for (int worker = 0; worker < workers; ++worker) {
                const float* share = all + (worker * each + number) * size_ + first;
                for (std::size_t i = 0; i < array.count; ++i) rolling[i] = kRollingMomentum * rolling[i] + share[i];
            }
        state.set(StateKind::parameters, array.node, array.role, rolling.data());
        first += array.count;
    }
}

}  // namespace dn
