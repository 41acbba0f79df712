// SPDX-License-Identifier: Apache-2.0
// Vector loops of training, compiled for several instruction sets like those of rows.hpp.
#pragma once

#include <cstddef>

#include "../../../layers/params.hpp"

namespace dn::cpu {

// Activations whose slope multiply_slope() knows; the others train by the reference kernel.
bool has_slope(Activation activation);
// delta *= f'(z), z in front of the activation.
void multiply_slope(float* delta, const float* z, std::size_t count, Activation activation);

// Per channel: sums += x - centre, squares += its square.
void add_moments(float* sums, float* squares, const float* x, const float* centre, std::size_t channels);
// Per channel: dst = x * scale + shift.
void affine(float* dst, const float* x, const float* scale, const float* shift, std::size_t channels);
// f'(x * scale + shift), of an activation with a slope that takes less time than to write its product with a delta.
struct CheapSlope {
    const float *scale, *shift;
    Activation activation;
};
bool has_cheap_slope(Activation activation);
// Per channel: e = d * slope; sums += e, products += e * (x * scale + shift).
void add_products(float* sums, float* products, const float* d, const float* x, const float* scale, const float* shift,
                  const CheapSlope& slope, std::size_t channels);
// Per channel: d = d * slope * slope.scale + x * b + c.
void blend(float* d, const float* x, const float* b, const float* c, const CheapSlope& slope, std::size_t channels);

}  // namespace dn::cpu
