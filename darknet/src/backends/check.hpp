// SPDX-License-Identifier: Apache-2.0
// "check:A,B": a backend that runs two others and throws at the first layer that differs.
#pragma once

#include <memory>
#include <vector>

#include "backend.hpp"

namespace dn {

// Answers with the first one's outputs, losses and gradients. In training, what each mini-batch and each update do is
// compared from the same state. Tolerance: the largest difference of a layer, relative to its largest value.
std::unique_ptr<Backend> make_check_backend(std::unique_ptr<Backend> first, std::unique_ptr<Backend> second);

// Of an inference plan of such a backend: the largest difference between the two outputs of each layer on noise,
// relative to its largest value. Throws Error(backend) for others.
std::vector<double> layer_errors(const Plan& plan);

}  // namespace dn
