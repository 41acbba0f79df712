// SPDX-License-Identifier: Apache-2.0
// [shortcut] that no convolution absorbed: a sum of sources, weighted or not, then an activation.
#include "kernels/channels.cuh"

#include "layer_kernels.hpp"

namespace dn::cuda {
namespace {

class Shortcut : public Launches {
public:
    explicit Shortcut(const Context& context) : Launches(context, "shortcut") {
        const auto& params = context.node.as<ShortcutParams>();
        ShortcutArgs args{};
        args.sources = static_cast<int>(context.src.size());
        args.channels = context.dst.shape.c;
        for (int s = 0; s < args.sources; ++s) {
            args.src[s] = view_of(context.src[s]);
            args.src_channels[s] = context.src[s].shape.c;
        }
        if (params.weights_per_source > 0) args.factors = make_factors(context, params, args);
        if (context.kept.argument) args.linear = {context.kept.argument, args.channels};
        args.dst = view_of(context.dst);
        args.pixels = pixels_of(context.dst);
        args.activation = static_cast<int>(params.activation);
        add(kernel::shortcut, context.dst.type, args.pixels * args.channels, args);
    }

private:
    // In training the weights move: the factors are computed again in each pass.
    const float* make_factors(const Context& context, const ShortcutParams& params, const ShortcutArgs& args) {
        float* factors = context.kept.factors;
        if (!factors) {
            factors_ = DeviceBuffer(context.runtime.device(), sizeof(float) * args.sources * args.channels);
            factors = factors_.get<float>();
        }
        const ShortcutFactorsArgs normalize{
            parameter(context, Role::weights), factors,       args.sources,
            params.weights_per_source,         args.channels, static_cast<int>(params.normalization)};
        if (context.state)
            add(kernel::shortcut_factors, DType::f32, static_cast<long long>(args.channels), normalize);
        else
            Launch<ShortcutFactorsArgs>(context.runtime, kernel::shortcut_factors, DType::f32)(args.channels,
                                                                                               normalize);
        return factors;
    }

    DeviceBuffer factors_;
};

}  // namespace

// Not where a larger source is read at every n-th place.
bool adds_on_device(const Node& node, const std::vector<Tensor>& src, const Tensor& dst) {
    const bool one_size = std::all_of(src.begin(), src.end(), [&](const Tensor& tensor) {
        return tensor.shape.h == dst.shape.h && tensor.shape.w == dst.shape.w;
    });
    return one_size && has_one_type(src, dst) && src.size() <= kShortcutSources &&
           is_pointwise(node.as<ShortcutParams>().activation);
}

std::unique_ptr<Kernel> make_shortcut(const Context& context) {
    if (!adds_on_device(context.node, context.src, context.dst)) return make_by_reference(context);
    return std::make_unique<Shortcut>(context);
}

}  // namespace dn::cuda
