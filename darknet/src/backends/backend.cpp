// SPDX-License-Identifier: Apache-2.0
// What plans and kernels do that were not made for it: training ones say so.
#include "backend.hpp"

#include "../error.hpp"
#include "kernel.hpp"

namespace dn {

bool Plan::read_from(const float*) { return false; }

void Plan::backward(const LossContext&, std::vector<LossReport>&) {
    throw Error(Status::backend, "", "this plan was compiled for inference and has no backward pass");
}

void Plan::read_delta(int, float*) const {
    throw Error(Status::backend, "", "this plan was compiled for inference and has no gradients");
}

void Kernel::backward() { throw Error(Status::backend, "", text("kernel ", what(), " has no backward pass")); }

}  // namespace dn
