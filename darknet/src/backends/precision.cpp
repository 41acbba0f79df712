// SPDX-License-Identifier: Apache-2.0
#include "precision.hpp"

#include "../error.hpp"

namespace dn {
namespace {

constexpr struct {
    Precision precision;
    const char* name;
} kNames[] = {{Precision::automatic, "auto"},
              {Precision::f32, "fp32"},
              {Precision::tf32, "tf32"},
              {Precision::bf16, "bf16"},
              {Precision::f16, "fp16"}};

}  // namespace

const char* precision_name(Precision precision) { return kNames[static_cast<std::size_t>(precision)].name; }

Precision parse_precision(const std::string& name) {
    for (const auto& entry : kNames)
        if (name == entry.name) return entry.precision;
    throw Error(Status::invalid_argument, "",
                text("found precision \"", name, "\", expected \"auto\", \"fp32\", \"tf32\", \"bf16\" or \"fp16\""));
}

}  // namespace dn
