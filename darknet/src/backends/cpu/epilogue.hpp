// SPDX-License-Identifier: Apache-2.0
// What follows the sums of an output in loops of our own, in registers.
#pragma once

#include <cstddef>

#include "../../layers/params.hpp"

namespace dn::cpu {

// dst = after(activation(sum + bias) + residual)
struct Epilogue {
    const float* biases = nullptr;  // of all filters; null: none
    Activation activation = Activation::linear;
    const float* residual = nullptr;  // may be dst; null: none
    std::size_t residual_pitch = 0;
    Activation after = Activation::linear;
};

// Whether an Epilogue computes it.
inline bool is_vector_activation(Activation activation) {
    switch (activation) {
        case Activation::linear:
        case Activation::leaky:
        case Activation::relu:
        case Activation::logistic:
        case Activation::swish:
        case Activation::mish:
            return true;
        default:
            return false;
    }
}

}  // namespace dn::cpu
