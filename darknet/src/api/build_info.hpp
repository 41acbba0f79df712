// SPDX-License-Identifier: Apache-2.0
// Facts about this build and this machine.
#pragma once

#include <string>

namespace dn {

// JSON object: version, compiler, onednn, openmp, cpu (name, isa, features), cores, backends, cuda.
std::string build_info();

}  // namespace dn
