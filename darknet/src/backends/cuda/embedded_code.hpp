// SPDX-License-Identifier: Apache-2.0
// Machine code of the kernels that a build holds, for machines without NVRTC.
#pragma once

#include <string_view>
#include <vector>

namespace dn::cuda {

// Of one kernel file, for all storage types.
struct EmbeddedCode {
    std::string_view program;  // "activations"
    int arch;                  // 75: sm_75
    int cuda;                  // the compiler's version, 12090 for 12.9; drivers of an older major version refuse it
    std::string_view code;
};

// What DN_CUDA_EMBED names; by default nothing.
const std::vector<EmbeddedCode>& embedded_codes();

// The best of them for an architecture and a driver: a GPU runs the code of older ones with the same major version.
// Null: none.
const EmbeddedCode* find_code(const std::vector<EmbeddedCode>& codes, std::string_view program, int arch, int driver);

// Whether there is code for them; a build holds every program for each of its architectures.
bool has_code(const std::vector<EmbeddedCode>& codes, int arch, int driver);

}  // namespace dn::cuda
