// SPDX-License-Identifier: Apache-2.0
// Convolutions as products by loops of our own: what their kernels share.
#pragma once

#include "conv_primitive.hpp"
#include "cpu.hpp"
#include "product.hpp"

namespace dn::cpu {

// The product of a 1x1 convolution, with the weights of any.
ProductTask product_of(const ConvTask& task);
// Windows of several pixels, or strides.
std::unique_ptr<Kernel> make_window_product(const ConvTask& task);

}  // namespace dn::cpu
