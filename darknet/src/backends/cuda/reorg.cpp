// SPDX-License-Identifier: Apache-2.0
// [reorg], [reorg3d] and [crop]: each value of an image comes from another place of it.
#include "kernels/move.cuh"

#include "../ref/permutation.hpp"
#include "layer_kernels.hpp"

namespace dn::cuda {
namespace {

// from(c, y, x): number of a value of the input's planes. By value of the output, both as they lie on the device.
template <class From>
std::vector<int> table_of(Shape in, Shape out, const From& from) {
    const std::size_t pixels = std::size_t{1} * in.h * in.w;
    std::vector<int> table;
    for (int y = 0; y < out.h; ++y)
        for (int x = 0; x < out.w; ++x)
            for (int c = 0; c < out.c; ++c) {
                const std::size_t number = from(c, y, x);
                table.push_back(static_cast<int>(number % pixels * in.c + number / pixels));
            }
    return table;
}

std::vector<int> table_of(Shape in, Shape out, const ref::Indices& from) {
    return table_of(in, out, [&](int c, int y, int x) { return from[(std::size_t{1} * c * out.h + y) * out.w + x]; });
}

std::vector<int> reorg3d_table(Shape in, Shape out, int stride) {
    return table_of(in, out, [=](int c, int y, int x) {
        const int channel = c % in.c, block = c / in.c;
        return (std::size_t{1} * channel * in.h + y * stride + block / stride) * in.w + x * stride + block % stride;
    });
}

std::unique_ptr<Kernel> make_permutation(const Context& context, const char* what) {
    if (!has_one_type(context)) return make_by_reference(context);
    auto launches = std::make_unique<Launches>(context, what);
    add_gather(*launches, context.src[0], context.dst, reorg_table(context.node), 1, 0, false);
    return launches;
}

}  // namespace

std::vector<int> reorg_table(const Node& node) {
    const auto& params = node.as<ReorgParams>();
    const Shape in = node.in, out = node.out;
    if (node.kind == Kind::reorg3d && !params.reverse) return reorg3d_table(in, out, params.stride);
    if (node.kind == Kind::reorg3d) return table_of(in, out, ref::inverse(ref::spread_blocks(out, params.stride)));
    const ref::Indices spread = ref::spread_blocks(in, params.stride);
    return table_of(in, out, params.reverse ? ref::inverse(spread) : spread);
}

void add_gather(Launches& launches, const Tensor& src, const Tensor& dst, const std::vector<int>& table, float scale,
                float offset, bool add) {
    launches.add(kernel::gather, dst.type, static_cast<long long>(dst.size()),
                 GatherArgs{view_of(src), view_of(dst), launches.keep(table), dst.n, pixels_of_image(src), src.shape.c,
                            pixels_of_image(dst), dst.shape.c, scale, offset, add});
}

std::unique_ptr<Kernel> make_reorg(const Context& context) { return make_permutation(context, "reorg"); }
std::unique_ptr<Kernel> make_reorg3d(const Context& context) { return make_permutation(context, "reorg3d"); }

std::unique_ptr<Kernel> make_crop(const Context& context) {
    const bool adjust = !context.node.as<CropParams>().noadjust;
    const Shape in = context.src[0].shape, out = context.dst.shape;
    if (!has_one_type(context)) return make_by_reference(context);
    const std::vector<int> table = table_of(in, out, [=](int c, int y, int x) {
        return (std::size_t{1} * c * in.h + (in.h - out.h) / 2 + y) * in.w + (in.w - out.w) / 2 + x;
    });
    auto launches = std::make_unique<Launches>(context, "crop");
    add_gather(*launches, context.src[0], context.dst, table, adjust ? 2 : 1, adjust ? -1 : 0, false);
    return launches;
}

}  // namespace dn::cuda
