// SPDX-License-Identifier: Apache-2.0
// Activation functions and their slopes, as Darknet computes them.
#pragma once

#include "../../layers/params.hpp"
#include "../../tensor.hpp"

namespace dn::ref {

float logistic(float x);

// f(x) of a pointwise activation: all but normalize_channels*.
float activate(Activation activation, float x);
// f over planes (n, c, h, w) in place, every activation.
void activate(Activation activation, float* x, int n, Shape shape);

// f'(x) of a pointwise activation, given x and y = f(x). Most need y alone, which is what Darknet keeps.
float slope(Activation activation, float x, float y);
// Whether slope() uses x, so that training must keep it.
bool slope_needs_input(Activation activation);
// delta *= f' over planes (n, c, h, w). For normalize_channels* this is Darknet's rule, not the true Jacobian.
// x may be null when slope_needs_input() is false.
void multiply_slope(Activation activation, const float* x, const float* y, float* delta, int n, Shape shape);

}  // namespace dn::ref
