// SPDX-License-Identifier: Apache-2.0
// [maxpool], [local_avgpool] and [avgpool] in training.
#include "../pool.hpp"

#include "train.hpp"

namespace dn::cuda {
namespace {

// From the delta of the output to that of the input.
PoolArgs back_args(const TrainContext& context) {
    const auto& params = context.node.as<PoolParams>();
    PoolArgs args = pool_args(context, view_of(delta_of(context.dst)), view_of(delta_of(context.src[0])),
                              context.dst.shape, params.stride_y, params.stride_x);
    args.add = context.adds(0);
    return args;
}

void add_channel_maxpool(TwoWay& kernel, const TrainContext& context) {
    const int out = context.dst.shape.c;
    const long long pixels = pixels_of(context.dst);
    kernel.back.add(
        kernel::channel_maxpool_backward, context.dst.type, pixels * out,
        ChannelPoolArgs{view_of(context.src[0]), view_of(context.dst), view_of(delta_of(context.dst)),
                        view_of(delta_of(context.src[0])), pixels, context.src[0].shape.c, out, context.adds(0)});
}

}  // namespace

std::unique_ptr<Kernel> train_maxpool(const TrainContext& context) {
    auto kernel = std::make_unique<TwoWay>(context, make_maxpool(context));
    if (!context.wants(0)) return kernel;
    if (context.node.as<PoolParams>().depth)
        add_channel_maxpool(*kernel, context);
    else
        kernel->back.add(kernel::maxpool_backward, context.dst.type, static_cast<long long>(context.src[0].size()),
                         back_args(context));
    return kernel;
}

std::unique_ptr<Kernel> train_local_avgpool(const TrainContext& context) {
    auto kernel = std::make_unique<TwoWay>(context, make_local_avgpool(context));
    if (context.wants(0))
        kernel->back.add(kernel::local_avgpool_backward, context.dst.type,
                         static_cast<long long>(context.src[0].size()), back_args(context));
    return kernel;
}

std::unique_ptr<Kernel> train_avgpool(const TrainContext& context) {
    const Tensor target = delta_of(context.src[0]);
    auto kernel = std::make_unique<TwoWay>(context, make_avgpool(context));
    if (context.wants(0))
        kernel->back.add(kernel::avgpool_backward, context.dst.type, static_cast<long long>(target.size()),
                         AvgpoolArgs{view_of(target), view_of(delta_of(context.dst)), context.batch,
                                     pixels_of_image(target), target.shape.c, context.adds(0)});
    return kernel;
}

}  // namespace dn::cuda
