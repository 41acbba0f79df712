// SPDX-License-Identifier: Apache-2.0
// Heads in training: the loss has made the delta of the output that of the input.
#include "../kernels/heads.cuh"

#include "../kernels/move.cuh"
#include "train.hpp"

namespace dn::cuda {
namespace {

std::unique_ptr<Kernel> forward_of(const TrainContext& context) {
    if (context.node.kind == Kind::yolo) return make_yolo(context);
    return context.node.kind == Kind::gaussian_yolo ? make_gaussian_yolo(context) : make_softmax(context);
}

}  // namespace

std::unique_ptr<Kernel> train_head(const TrainContext& context) {
    const Tensor delta = delta_of(context.dst), target = delta_of(context.src[0]);
    auto kernel = std::make_unique<TwoWay>(context, forward_of(context));
    if (context.wants(0))
        kernel->back.add(
            kernel::copy_from_f32, target.type, static_cast<long long>(target.size()),
            CopyArgs{view_of(delta), view_of(target), nullptr, pixels_of(target), target.shape.c, 1, context.adds(0)});
    return kernel;
}

std::unique_ptr<Kernel> train_region(const TrainContext& context) {
    const auto& params = context.node.as<RegionParams>();
    const Tensor target = delta_of(context.src[0]);
    auto kernel = std::make_unique<TwoWay>(context, make_region(context));
    if (context.wants(0))
        kernel->back.add(kernel::region_backward, target.type, static_cast<long long>(target.size()),
                         RegionArgs{view_of(target), view_of(delta_of(context.dst)), context.batch,
                                    pixels_of_image(target), params.num, params.coords, params.classes, nullptr,
                                    nullptr, 0, params.softmax, context.adds(0)});
    return kernel;
}

}  // namespace dn::cuda
