// SPDX-License-Identifier: Apache-2.0
// [implicit]: learned constants, the same for every image.
#include "kernels/move.cuh"

#include "layer_kernels.hpp"

namespace dn::cuda {

std::unique_ptr<Kernel> make_implicit(const Context& context) {
    const int pixels = pixels_of_image(context.dst), channels = context.dst.shape.c;
    const float* weights = parameter(context, Role::weights);
    auto launches = std::make_unique<Launches>(context, "implicit");
    launches->add(kernel::from_planes, context.dst.type,
                  Grid{tiles_of(pixels), tiles_of(channels), static_cast<unsigned>(context.batch)},
                  PlanesArgs{const_cast<float*>(weights), view_of(context.dst), 0, pixels, channels});
    return launches;
}

}  // namespace dn::cuda
