// SPDX-License-Identifier: Apache-2.0
// All kernels of backends/cuda/kernels as functions of the host, by name.
#pragma once

#include <vector>

#include "host_cuda.hpp"

namespace dn::test {

// Null when no kernel is exported under this name.
const HostKernel* find_kernel(std::string_view name);

const std::vector<HostKernel>& all_kernels();

}  // namespace dn::test
