// SPDX-License-Identifier: Apache-2.0
// [reorg3d]: space-to-depth, y[k, j, i] = x[k mod C, j s + (k/C)/s, i s + (k/C) mod s]. The reverse is Darknet's, which
// does not undo it: the same map as [reorg]'s, for the shape of the output.
#include "permutation.hpp"

namespace dn::ref {
namespace {

Indices space_to_depth(Shape in, Shape out, int s) {
    Indices from;
    from.reserve(out.size());
    for (int k = 0; k < out.c; ++k) {
        const int channel = k % in.c, block = k / in.c;
        for (int j = 0; j < out.h; ++j)
            for (int i = 0; i < out.w; ++i)
                from.push_back((std::size_t{1} * channel * in.h + j * s + block / s) * in.w + i * s + block % s);
    }
    return from;
}

}  // namespace

std::unique_ptr<Kernel> make_reorg3d(const HostContext& context) {
    const auto& params = context.node.as<ReorgParams>();
    const Shape in = context.src[0].shape, out = context.node.out;
    return std::make_unique<Permutation>(
        context, params.reverse ? inverse(spread_blocks(out, params.stride)) : space_to_depth(in, out, params.stride));
}

}  // namespace dn::ref
