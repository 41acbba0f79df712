// SPDX-License-Identifier: Apache-2.0
// Two arrays that should agree, and where they do not.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "../parameters.hpp"

namespace dn {

// Tolerances relative to the largest value of a layer.
constexpr float kToleranceF32 = 1e-3f;   // deep networks add up what different orders of summation round
constexpr float kToleranceBf16 = 0.1f;   // 8 bits of mantissa, through as many layers
constexpr float kSmallestValue = 1e-6f;  // layers of zeros differ by less than this times the tolerance

struct LayerDifference {
    int node;
    std::string what;  // of the layer: "output", "gradient of its weights"
    std::size_t at;    // where the two are farthest apart
    float first, second, largest_value;

    double relative() const;
};

// Where two arrays are farthest apart. Equal values, NaN included, are no difference; NaN on one side is one.
LayerDifference largest_difference(int node, const std::string& what, const Floats& first, const Floats& second);

// The largest difference, if it exceeds the tolerance. least_scale: what this is relative to where all values are
// smaller.
std::optional<LayerDifference> difference_of(int node, const std::string& what, const Floats& first,
                                             const Floats& second, float tolerance, float least_scale = kSmallestValue);

// Throws Error(backend). names: "A and B"; remark: joins the message.
[[noreturn]] void report_difference(const Graph& graph, const std::string& names, const LayerDifference& difference,
                                    const std::string& remark = "");

}  // namespace dn
