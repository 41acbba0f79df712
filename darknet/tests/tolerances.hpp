// SPDX-License-Identifier: Apache-2.0
// What is compared with the reference backend: every other backend of this build, in each of its precisions; and how
// far they may differ.
#pragma once

#include <string>
#include <vector>

#include "backends/registry.hpp"

namespace dn::test {

// Relative to the size of what is compared.
struct Tolerance {
    Precision precision;
    float output, gradient, cost, head_gradient;
};

// Gradients differ more than outputs: rounding moves a few values to the other side of a kink, where one weighs as much
// in either type of 16 bits.
inline constexpr Tolerance kTolerances[] = {{Precision::f32, 1e-5f, 2e-4f, 1e-4f, 2e-4f},
                                            {Precision::tf32, 5e-3f, 0.1f, 5e-3f, 0.03f},
                                            {Precision::f16, 5e-3f, 0.2f, 5e-3f, 0.03f},
                                            {Precision::bf16, 0.02f, 0.2f, 0.02f, 0.06f}};

inline const Tolerance& tolerance_of(Precision precision) {
    for (const Tolerance& tolerance : kTolerances)
        if (tolerance.precision == precision) return tolerance;
    throw Error(Status::internal, "", text("no tolerance for ", precision_name(precision)));
}

struct Setup {
    std::string backend;
    Tolerance tolerance;
    bool exact() const { return tolerance.precision == Precision::f32; }
};

inline std::vector<Setup> other_setups() {
    std::vector<Setup> setups;
    for (const std::string& name : backend_names())
        if (name != "ref")
            for (const PrecisionChoice& choice : make_backend(name)->precisions())
                setups.push_back({name, tolerance_of(choice.precision)});
    return setups;
}

}  // namespace dn::test
