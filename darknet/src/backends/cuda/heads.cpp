// SPDX-License-Identifier: Apache-2.0
// [region], [detection] and [softmax]: float32 out of any storage type.
#include "kernels/heads.cuh"

#include "kernels/channels.cuh"
#include "kernels/move.cuh"
#include "layer_kernels.hpp"

namespace dn::cuda {
namespace {

// The groups of a tree as the kernels take them.
struct Groups {
    const int *offset = nullptr, *size = nullptr;
    int count = 0;
};

Groups groups_of(const Tree& tree, Launches& launches) {
    if (tree.parent.empty()) return {};
    return {launches.keep(tree.group_offset), launches.keep(tree.group_size), static_cast<int>(tree.group_size.size())};
}

}  // namespace

std::unique_ptr<Kernel> make_region(const Context& context) {
    const auto& params = context.node.as<RegionParams>();
    if (context.dst.type != DType::f32) return make_by_reference(context);
    auto launches = std::make_unique<Launches>(context, "region");
    const Groups groups = groups_of(params.tree, *launches);
    const int cells = pixels_of_image(context.src[0]);
    launches->add(
        kernel::region, context.src[0].type, 1LL * context.batch * cells * params.num,
        RegionArgs{view_of(context.src[0]), view_of(context.dst), context.batch, cells, params.num, params.coords,
                   params.classes, groups.offset, groups.size, groups.count, params.softmax, false});
    return launches;
}

std::unique_ptr<Kernel> make_softmax(const Context& context) {
    const auto& params = context.node.as<SoftmaxParams>();
    const bool flat = pixels_of_image(context.src[0]) == 1;
    if (context.dst.type != DType::f32 || !flat) return make_by_reference(context);
    auto launches = std::make_unique<Launches>(context, "softmax");
    Groups groups = groups_of(params.tree, *launches);
    if (!groups.offset) groups.count = params.groups;
    launches->add(kernel::softmax, context.src[0].type, 1LL * context.batch * groups.count,
                  SoftmaxArgs{view_of(context.src[0]), view_of(context.dst), groups.offset, groups.size, context.batch,
                              groups.count, context.dst.shape.c / params.groups, params.temperature});
    return launches;
}

// The classes of each cell stand first.
std::unique_ptr<Kernel> make_detection(const Context& context) {
    const auto& params = context.node.as<DetectionParams>();
    const bool flat = pixels_of_image(context.src[0]) == 1;
    if (context.dst.type != DType::f32 || !flat) return make_by_reference(context);
    auto launches = std::make_unique<Launches>(context, "detection");
    const View src = view_of(context.src[0]), dst = view_of(context.dst);
    const int channels = context.dst.shape.c, cells = params.side * params.side;
    launches->add(kernel::copy_to_f32, context.src[0].type, static_cast<long long>(context.dst.size()),
                  CopyArgs{src, dst, nullptr, context.batch, channels, 1, false});
    if (params.softmax)
        launches->add(kernel::softmax, context.src[0].type, 1LL * context.batch * cells,
                      SoftmaxArgs{src, dst, nullptr, nullptr, context.batch, cells, params.classes, 1});
    return launches;
}

}  // namespace dn::cuda
