// SPDX-License-Identifier: Apache-2.0
// Bounds of what a training counts: a file with larger numbers is damaged.
#pragma once

#include <cstdint>

namespace dn {

// Images that one network was trained on: a hundred years at 300 in a second. Iterations are fewer.
constexpr std::uint64_t kMostSeen = 1000000000000;

}  // namespace dn
