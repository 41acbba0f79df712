// SPDX-License-Identifier: Apache-2.0
// A layer in words, for the table of layers.
#pragma once

#include <string>

#include "../graph.hpp"

namespace dn {

const char* kind_name(Kind kind);
// The layer's own numbers, for example "64 3x3/2 mish" or "from 3".
std::string describe(const Node& node);

}  // namespace dn
