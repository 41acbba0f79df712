// SPDX-License-Identifier: Apache-2.0
// The precisions in which a network can be computed, and their names at the C interface.
#pragma once

#include <string>
#include <vector>

namespace dn {

enum class Precision { automatic, f32, tf32, bf16, f16 };

// "auto", "fp32", "tf32", "bf16" or "fp16".
const char* precision_name(Precision precision);
// Throws Error(invalid_argument) for other words.
Precision parse_precision(const std::string& name);

// A precision, and why it was chosen or at what cost it is computed on this device; no reason: "".
struct PrecisionChoice {
    Precision precision;
    std::string reason;
};

}  // namespace dn
