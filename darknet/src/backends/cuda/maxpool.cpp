// SPDX-License-Identifier: Apache-2.0
// [maxpool], over pixels or channels; with antialiasing the strides belong to a blur behind it.
#include "pool.hpp"

namespace dn::cuda {
namespace {

// The pool of the layer, from its input to its output.
PoolArgs forward_args(const Context& context) {
    const auto& params = context.node.as<PoolParams>();
    return pool_args(context, view_of(context.src[0]), view_of(context.dst), context.dst.shape, params.stride_y,
                     params.stride_x);
}

std::unique_ptr<Kernel> make_channel_maxpool(const Context& context) {
    const long long pixels = pixels_of(context.dst);
    const int out = context.dst.shape.c;
    return make_launch(
        context, "maxpool", kernel::channel_maxpool, pixels * out,
        ChannelPoolArgs{
            view_of(context.src[0]), view_of(context.dst), {}, {}, pixels, context.src[0].shape.c, out, false});
}

// The maxima of stride 1 lie in memory of the kernel's own, and the blur reads them there.
class BlurredMaxpool : public Launches {
public:
    explicit BlurredMaxpool(const Context& context) : Launches(context, "maxpool, blur") {
        const auto& params = context.node.as<PoolParams>();
        const Shape in = context.src[0].shape, out = context.dst.shape;
        const int shrink = params.size - 1 - params.padding;
        const Shape sharp{in.c, in.h - shrink, in.w - shrink};
        const long long count = static_cast<long long>(context.batch * sharp.size());
        maxima_ = DeviceBuffer(context.runtime.device(), count * bytes(context.dst.type));
        const View maxima{maxima_.get(), sharp.c};
        add(kernel::maxpool, context.dst.type, count, pool_args(context, view_of(context.src[0]), maxima, sharp, 1, 1));
        add(kernel::blur, context.dst.type, static_cast<long long>(context.dst.size()),
            BlurArgs{maxima, view_of(context.dst), context.batch, sharp.h, sharp.w, out.h, out.w, out.c,
                     params.antialiasing, params.stride_y, params.stride_x});
    }

private:
    DeviceBuffer maxima_;
};

}  // namespace

std::unique_ptr<Kernel> make_maxpool(const Context& context) {
    const auto& params = context.node.as<PoolParams>();
    if (!has_one_type(context)) return make_by_reference(context);
    if (params.depth) return make_channel_maxpool(context);
    if (params.antialiasing != 0) return std::make_unique<BlurredMaxpool>(context);
    return make_launch(context, "maxpool", kernel::maxpool, static_cast<long long>(context.dst.size()),
                       forward_args(context));
}

std::unique_ptr<Kernel> make_local_avgpool(const Context& context) {
    if (!has_one_type(context)) return make_by_reference(context);
    return make_launch(context, "local_avgpool", kernel::local_avgpool, static_cast<long long>(context.dst.size()),
                       forward_args(context));
}

}  // namespace dn::cuda
