// SPDX-License-Identifier: Apache-2.0
// [reorg], [reorg3d] and [crop]: each value of an image comes from another place of it.
#include "kernels/move.cuh"

#include "../ref/permutation.hpp"
#include "layer_kernels.hpp"

namespace dn::cuda {
namespace {

// from(c, y, x): number of a value of the input's planes.
template <class From>
std::unique_ptr<Kernel> make_gather(const Context& context, const char* what, float scale, float offset,
                                    const From& from) {
    const Shape in = context.src[0].shape, out = context.dst.shape;
    const std::size_t pixels = std::size_t{1} * in.h * in.w;
    std::vector<int> table;
    for (int y = 0; y < out.h; ++y)
        for (int x = 0; x < out.w; ++x)
            for (int c = 0; c < out.c; ++c) {
                const std::size_t number = from(c, y, x);
                table.push_back(static_cast<int>(number % pixels * in.c + number / pixels));
            }
    auto launches = std::make_unique<Launches>(context, what);
    launches->add(kernel::gather, context.dst.type, static_cast<long long>(context.dst.size()),
                  GatherArgs{view_of(context.src[0]), view_of(context.dst), launches->keep(table), context.batch,
                             static_cast<int>(pixels), in.c, out.h * out.w, out.c, scale, offset, false});
    return launches;
}

std::unique_ptr<Kernel> make_permutation(const Context& context, const char* what, const ref::Indices& from) {
    const Shape out = context.dst.shape;
    return make_gather(context, what, 1, 0,
                       [&](int c, int y, int x) { return from[(std::size_t{1} * c * out.h + y) * out.w + x]; });
}

}  // namespace

std::unique_ptr<Kernel> make_reorg(const Context& context) {
    const auto& params = context.node.as<ReorgParams>();
    if (!has_one_type(context)) return make_by_reference(context);
    const ref::Indices spread = ref::spread_blocks(context.src[0].shape, params.stride);
    return make_permutation(context, "reorg", params.reverse ? ref::inverse(spread) : spread);
}

std::unique_ptr<Kernel> make_reorg3d(const Context& context) {
    const auto& params = context.node.as<ReorgParams>();
    const Shape in = context.src[0].shape;
    const int s = params.stride;
    if (!has_one_type(context)) return make_by_reference(context);
    if (params.reverse)
        return make_permutation(context, "reorg3d", ref::inverse(ref::spread_blocks(context.dst.shape, s)));
    return make_gather(context, "reorg3d", 1, 0, [=](int c, int y, int x) {
        const int channel = c % in.c, block = c / in.c;
        return (std::size_t{1} * channel * in.h + y * s + block / s) * in.w + x * s + block % s;
    });
}

std::unique_ptr<Kernel> make_crop(const Context& context) {
    const bool adjust = !context.node.as<CropParams>().noadjust;
    const Shape in = context.src[0].shape, out = context.dst.shape;
    if (!has_one_type(context)) return make_by_reference(context);
    return make_gather(context, "crop", adjust ? 2 : 1, adjust ? -1 : 0, [=](int c, int y, int x) {
        return (std::size_t{1} * c * in.h + (in.h - out.h) / 2 + y) * in.w + (in.w - out.w) / 2 + x;
    });
}

}  // namespace dn::cuda
