// SPDX-License-Identifier: Apache-2.0
// Backends by name. A name may end in the number of a device: "cuda:1".
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend.hpp"

namespace dn {

// One kind of backend, as built in. Asking whether a device is available makes nothing.
struct BackendEntry {
    const char* name;
    bool (*available)(int device, std::string* why);  // false: `why` becomes the reason
    std::unique_ptr<Backend> (*make)(int device);
};

using BackendTable = std::vector<BackendEntry>;

// Those of this build, the fastest first.
const BackendTable& backend_table();

// "auto" (the first available), the name of an entry, or "check:A,B", which runs both and throws at the first layer
// that differs. Throws Error(backend) with the reason of each entry that is not available.
std::unique_ptr<Backend> make_backend(const std::string& name, const BackendTable& table = backend_table());

// Folders that may hold the libraries that backends open at run time, besides those that the system's loader searches.
void set_library_folders(std::vector<std::string> folders);

// JSON object of what the cuda backend finds on this machine; see dn_build_info.
std::string cuda_description();

// The names of the available ones, the fastest first.
std::vector<std::string> backend_names(const BackendTable& table = backend_table());

}  // namespace dn
