// SPDX-License-Identifier: Apache-2.0
// [shortcut] that no convolution adds: the sum of its sources, then its activation.
#include "kernel_context.hpp"
#include "kernels/channels.cuh"
#include "launch.hpp"

namespace dn::cuda {
namespace {

bool suits(const Context& context) {
    const auto& params = context.node.as<ShortcutParams>();
    return params.weights_per_source == 0 && context.src.size() <= kShortcutSources &&
           params.activation < Activation::normalize_channels &&
           std::all_of(context.src.begin(), context.src.end(),
                       [&](const Tensor& src) { return src.type == context.dst.type; });
}

}  // namespace

std::unique_ptr<Kernel> make_shortcut(const Context& context) {
    if (!suits(context)) return make_by_reference(context);
    const Tensor& dst = context.dst;
    ShortcutArgs args{};
    for (const Tensor& src : context.src) {
        args.src[args.sources] = view_of(src);
        args.src_channels[args.sources++] = src.shape.c;
    }
    args.dst = view_of(dst);
    args.pixels = pixels_of(dst);
    args.channels = dst.shape.c;
    args.activation = static_cast<int>(context.node.as<ShortcutParams>().activation);
    return make_launch(context.runtime, kernel::shortcut, dst.type, args.pixels * args.channels, args, "shortcut");
}

}  // namespace dn::cuda
