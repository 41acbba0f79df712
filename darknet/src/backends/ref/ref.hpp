// SPDX-License-Identifier: Apache-2.0
// The reference backend: plain float32 loops over planes (n, c, h, w). It is the definition of every layer and the
// portable fallback: no threads, no tricks.
#pragma once

#include "../kernel.hpp"

namespace dn::ref {

#define DN_LAYER(name) std::unique_ptr<Kernel> make_##name(const KernelContext& context);
#include "../../layers/layers.def"
#undef DN_LAYER

}  // namespace dn::ref
