// SPDX-License-Identifier: Apache-2.0
// [reorg]: Darknet's first space-to-depth. Seen as a map of flat indices it is exact and reversible, but forward it
// takes its input for (c/s^2, h s, w s), which shuffles pixels across channels; trained networks depend on that.
#include "permutation.hpp"

namespace dn::ref {

std::unique_ptr<Kernel> make_reorg(const HostContext& context) {
    const auto& params = context.node.as<ReorgParams>();
    const Indices spread = spread_blocks(context.src[0].shape, params.stride);
    return std::make_unique<Permutation>(context, params.reverse ? inverse(spread) : spread);
}

}  // namespace dn::ref
