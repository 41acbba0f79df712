// SPDX-License-Identifier: Apache-2.0
// Antialiasing: a layer computed without its strides, then blurred by a fixed depthwise convolution that has them.
#pragma once

#include <functional>
#include <memory>

#include "cpu.hpp"

namespace dn::cpu {

struct BlurParams {
    int mode;  // 1: [1 2 1] x [1 2 1] / 16, 2: 2 x 2 of 1/4
    int stride_x, stride_y;
};

// `make` builds the layer itself on the tensor that it is given, of shape `sharp`.
std::unique_ptr<Kernel> make_blurred(const Context& context, const BlurParams& params, Shape sharp,
                                     const std::function<std::unique_ptr<Kernel>(const Tensor& dst)>& make);

}  // namespace dn::cpu
