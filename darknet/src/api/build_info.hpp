// SPDX-License-Identifier: Apache-2.0
// What this build and this machine have.
#pragma once

#include <string>

namespace dn {

// JSON object: version, compiler, onednn, openmp, cpu (name, isa, features), cores, backends.
std::string build_info();

}  // namespace dn
