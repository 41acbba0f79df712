// SPDX-License-Identifier: Apache-2.0
// Memory of the host that is still free.
#pragma once

#include <cstddef>
#include <string>

namespace dn {

// Bytes that the process can still take without swapping; in a container with a limit, beyond which processes are
// killed without a message, at most the rest of that limit. 0 where the system does not report it. `root`: the folder
// that contains proc and sys.
std::size_t free_host_bytes(const std::string& root = "/");

}  // namespace dn
