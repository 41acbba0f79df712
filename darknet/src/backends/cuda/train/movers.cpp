// SPDX-License-Identifier: Apache-2.0
// Layers in training that move values: [route], [upsample], [reorg], [reorg3d], [crop], [dropout], [empty], [cost].
#include "../kernels/move.cuh"

#include <cstdlib>

#include "train.hpp"

namespace dn::cuda {
namespace {

DropoutArgs dropout_args(const TrainContext& context, const Tensor& src, const Tensor& dst, bool add) {
    return {view_of(src),
            view_of(dst),
            context.state->seen(),
            context.batch,
            pixels_of_image(dst),
            dst.shape.c,
            context.node.index,
            context.node.as<DropoutParams>().probability,
            add};
}

// Values from the type of `src` to that of `dst`, of which one is float32 if they differ.
void add_convert(Launches& launches, const Tensor& src, const Tensor& dst, bool add) {
    const auto& kernel = dst.type == DType::f32   ? kernel::copy_to_f32
                         : src.type == DType::f32 ? kernel::copy_from_f32
                                                  : kernel::copy;
    const DType type = dst.type == DType::f32 ? src.type : dst.type;
    const CopyArgs args{view_of(src), view_of(dst), nullptr, pixels_of(dst), dst.shape.c, 1, add};
    launches.add(kernel, type, static_cast<long long>(dst.size()), args);
}

std::unique_ptr<Kernel> convert_forward(const TrainContext& context, const char* what) {
    auto launches = std::make_unique<Launches>(context, what);
    add_convert(*launches, context.src[0], context.dst, false);
    return launches;
}

// Where each of `size` values goes to by a table of where values come from; -1 for those that it leaves out.
std::vector<int> inverse(const std::vector<int>& table, std::size_t size) {
    std::vector<int> from(size, -1);
    for (std::size_t k = 0; k < table.size(); ++k) from[table[k]] = static_cast<int>(k);
    return from;
}

}  // namespace

void add_copy(Launches& back, const TrainContext& context, const Tensor& from, const Tensor& target, int channels,
              const float* factors, bool adds) {
    const CopyArgs args{view_of(from), view_of(target), factors, pixels_of(target), channels, 1, adds};
    back.add(kernel::copy, context.dst.type, args.pixels * channels, args);
}

std::unique_ptr<Kernel> train_route(const TrainContext& context) {
    const auto& params = context.node.as<RouteParams>();
    auto kernel = std::make_unique<TwoWay>(context, make_route(context));
    int at = 0;
    for (std::size_t s = 0; s < context.src.size(); ++s) {
        const Tensor target = delta_of(context.src[s]);
        const int part = target.shape.c / params.groups;
        if (context.wants(s)) {
            if (!context.adds(s) && params.groups > 1) kernel->back.add_clear(target);
            add_copy(kernel->back, context, from_channel(delta_of(context.dst), at),
                     from_channel(target, params.group_id * part), part, nullptr, context.adds(s));
        }
        at += part;
    }
    return kernel;
}

std::unique_ptr<Kernel> train_upsample(const TrainContext& context) {
    const auto& params = context.node.as<UpsampleParams>();
    auto kernel = std::make_unique<TwoWay>(context, make_upsample(context));
    if (!context.wants(0)) return kernel;
    const bool enlarges = params.stride > 0;
    const Tensor delta = delta_of(context.dst), target = delta_of(context.src[0]);
    const Shape small = enlarges ? target.shape : delta.shape, large = enlarges ? delta.shape : target.shape;
    kernel->back.add(enlarges ? kernel::collect : kernel::spread, target.type, static_cast<long long>(target.size()),
                     UpsampleArgs{view_of(delta), view_of(target), context.batch, small.h, small.w, large.h, large.w,
                                  small.c, std::abs(params.stride), params.scale, context.adds(0)});
    return kernel;
}

std::unique_ptr<Kernel> train_permutation(const TrainContext& context) {
    const bool flat = context.node.kind == Kind::reorg;
    auto kernel = std::make_unique<TwoWay>(context, flat ? make_reorg(context) : make_reorg3d(context));
    if (!context.wants(0)) return kernel;
    const Tensor target = delta_of(context.src[0]);
    if (!context.adds(0) && target.shape.size() > context.dst.shape.size())
        kernel->back.add_clear(target);  // values that it leaves out have no gradient
    add_gather(kernel->back, delta_of(context.dst), target, inverse(reorg_table(context.node), target.shape.size()), 1,
               0, context.adds(0));
    return kernel;
}

// Lets no gradient through, as in Darknet.
std::unique_ptr<Kernel> train_crop(const TrainContext& context) {
    auto kernel = std::make_unique<TwoWay>(context, make_crop(context));
    if (context.wants(0) && !context.adds(0)) kernel->back.add_clear(delta_of(context.src[0]));
    return kernel;
}

std::unique_ptr<Kernel> train_dropout(const TrainContext& context) {
    if (!context.trains()) return train_pass_through(context);
    const long long values = static_cast<long long>(context.dst.size());
    auto launches = std::make_unique<Launches>(context, "dropout");
    launches->add(kernel::dropout, context.dst.type, values, dropout_args(context, context.src[0], context.dst, false));
    auto kernel = std::make_unique<TwoWay>(context, std::move(launches));
    if (context.wants(0))
        kernel->back.add(kernel::dropout, context.dst.type, values,
                         dropout_args(context, delta_of(context.dst), delta_of(context.src[0]), context.adds(0)));
    return kernel;
}

std::unique_ptr<Kernel> train_pass_through(const TrainContext& context) {
    auto kernel = std::make_unique<TwoWay>(context, convert_forward(context, "copy"));
    if (context.wants(0)) add_convert(kernel->back, delta_of(context.dst), delta_of(context.src[0]), context.adds(0));
    return kernel;
}

}  // namespace dn::cuda
