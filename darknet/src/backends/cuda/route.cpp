// SPDX-License-Identifier: Apache-2.0
// [route]: copies what placement could not put there directly.
#include "kernel_context.hpp"
#include "kernels/move.cuh"
#include "layer_kernels.hpp"

namespace dn::cuda {
namespace {

class Route : public Kernel {
public:
    Route(const Launch<CopyArgs>& copy, std::vector<CopyArgs> copies) : copy_(copy), copies_(std::move(copies)) {}
    void forward() override {
        for (const CopyArgs& args : copies_) copy_(args.pixels * args.channels, args);
    }
    std::string what() const override { return "copy"; }

private:
    Launch<CopyArgs> copy_;
    std::vector<CopyArgs> copies_;
};

}  // namespace

std::unique_ptr<Kernel> make_route(const Context& context) {
    if (!has_one_type(context)) return make_by_reference(context);
    const auto& params = context.node.as<RouteParams>();
    std::vector<CopyArgs> copies;
    Tensor dst = context.dst;
    for (Tensor src : context.src) {
        const int channels = src.shape.c / params.groups;
        src = from_channel(src, params.group_id * channels);
        if (src.data != dst.data)
            copies.push_back({view_of(src), view_of(dst), nullptr, pixels_of(src), channels, 1, false});
        dst = from_channel(dst, channels);
    }
    if (copies.empty()) return nullptr;
    return std::make_unique<Route>(Launch<CopyArgs>(context.runtime, kernel::copy, dst.type), std::move(copies));
}

}  // namespace dn::cuda
