// SPDX-License-Identifier: Apache-2.0
// What losses of heads are made from: boxes out of the rows of a mini-batch's truths, and arrays of options.
#pragma once

#include <vector>

#include "loss.hpp"
#include "truth.cuh"

namespace dn {

// The valid truths of one image; rows with a class outside the head's are left out.
std::vector<TruthBox> truths_of(const Truths& truths, int image, int classes);

// The arrays that the description of a head for its rules points into.
struct LossTables {
    std::vector<float> floats;
    std::vector<int> ints;
};

}  // namespace dn
