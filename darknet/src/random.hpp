// SPDX-License-Identifier: Apache-2.0
// Counter-based random numbers: value i of a stream is a function of (stream, i) alone, so that neither threads nor
// restarts nor what else was drawn can change it. The mixer is the finaliser of splitmix64.
#pragma once

#include <cstdint>

namespace dn {

inline std::uint64_t mix(std::uint64_t x) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

// Uniform in [0, 1), 24 bits.
inline float uniform(std::uint64_t stream, std::uint64_t i) {
    constexpr std::uint64_t golden = 0x9E3779B97F4A7C15u;
    return static_cast<float>(mix(stream + (i + 1) * golden) >> 40) * (1.0f / (1 << 24));
}

}  // namespace dn
