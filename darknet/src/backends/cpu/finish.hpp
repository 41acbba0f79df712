// SPDX-License-Identifier: Apache-2.0
// Steps after the sums of a convolution: activation, addition of a fused shortcut, its activation, rounding to the
// output's type. Done here, on results that are still in cache, it costs less than oneDNN's post-operations.
#pragma once

#include <cstddef>

#include "../../layers/params.hpp"
#include "../../tensor.hpp"

namespace dn::cpu {

struct Finish {
    Activation activation = Activation::linear;
    bool adds = false;  // a residual, followed by `after`
    Activation after = Activation::linear;
};

// The sums of some pixels and where they go; pitches in elements.
struct FinishPixels {
    float* x;  // dense, overwritten
    void* dst;
    std::size_t dst_pitch;
    DType type;
    const void* residual;  // may be dst
    std::size_t residual_pitch;
    DType residual_type;
    std::size_t pixels, channels;
};

// dst = after(activation(x) + residual)
void finish_pixels(const FinishPixels& pixels, const Finish& finish);

}  // namespace dn::cpu
