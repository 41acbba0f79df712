// SPDX-License-Identifier: Apache-2.0
// Shared by the tests of convolutions by a method that is forced.
#pragma once

#include <cmath>
#include <random>

#include "ops/ops.hpp"

namespace dn::test {

inline Floats random_floats(std::size_t count, unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> uniform(-1, 1);
    Floats values(count);
    for (float& value : values) value = uniform(random);
    return values;
}

// The largest error over the largest value.
inline double relative_error(const Floats& found, const Floats& expected) {
    double worst = 0, largest = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
        worst = std::max<double>(worst, std::abs(found[i] - expected[i]));
        largest = std::max<double>(largest, std::abs(expected[i]));
    }
    return worst / largest;
}

}  // namespace dn::test
