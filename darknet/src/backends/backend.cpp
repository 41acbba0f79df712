// SPDX-License-Identifier: Apache-2.0
// What plans and kernels do that were not made for it: training ones say so.
#include "backend.hpp"

#include "../error.hpp"
#include "kernel.hpp"

namespace dn {

PrecisionChoice Backend::resolve(Precision asked) const {
    if (asked == Precision::automatic) return automatic();
    std::string known;
    for (const PrecisionChoice& choice : precisions()) {
        if (choice.precision == asked) return choice;
        known += text(known.empty() ? "" : ", ", precision_name(choice.precision));
    }
    throw Error(
        Status::backend, "",
        text("backend \"", name(), "\": found precision ", precision_name(asked), ", expected ", known, " or auto"));
}

bool Plan::read_from(const float*) { return false; }

void Plan::backward(const LossContext&, std::vector<LossReport>&) {
    throw Error(Status::backend, "", "this plan was compiled for inference and has no backward pass");
}

void Plan::read_delta(int, float*) const {
    throw Error(Status::backend, "", "this plan was compiled for inference and has no gradients");
}

void Kernel::backward() { throw Error(Status::backend, "", text("kernel ", what(), " has no backward pass")); }

}  // namespace dn
