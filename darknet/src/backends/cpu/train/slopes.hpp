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
// Per channel: sums += d, products += d * (x * scale + shift).
void add_products(float* sums, float* products, const float* d, const float* x, const float* scale, const float* shift,
                  std::size_t channels);
// Per channel: dst = x * scale + shift.
void affine(float* dst, const float* x, const float* scale, const float* shift, std::size_t channels);
// Per channel: d = d * a + x * b + c.
void blend(float* d, const float* x, const float* a, const float* b, const float* c, std::size_t channels);

}  // namespace dn::cpu
