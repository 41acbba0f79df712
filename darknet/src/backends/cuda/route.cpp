// SPDX-License-Identifier: Apache-2.0
// [route]: copies what placement could not put there directly.
#include "kernels/move.cuh"

#include "layer_kernels.hpp"

namespace dn::cuda {

std::unique_ptr<Kernel> make_route(const Context& context) {
    const auto& params = context.node.as<RouteParams>();
    if (!has_one_type(context)) return make_by_reference(context);
    const std::size_t size = bytes(context.dst.type);
    const auto slice = [&](const Tensor& tensor, int channel) {
        return View{static_cast<std::byte*>(tensor.data) + channel * size, static_cast<long long>(tensor.pitch)};
    };
    auto copies = std::make_unique<Launches>(context, "copy");
    const long long pixels = pixels_of(context.dst);
    int offset = 0;
    bool in_place = true;
    for (const Tensor& src : context.src) {
        const int count = src.shape.c / params.groups;
        const View from = slice(src, params.group_id * count), to = slice(context.dst, offset);
        offset += count;
        if (from.data == to.data) continue;
        in_place = false;
        copies->add(kernel::copy, src.type, pixels * count, CopyArgs{from, to, nullptr, pixels, count, 1, false});
    }
    if (in_place) return nullptr;
    return copies;
}

}  // namespace dn::cuda
