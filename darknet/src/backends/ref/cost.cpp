// SPDX-License-Identifier: Apache-2.0
// [cost]: a loss for training; its input passes through.
#include "pass_through.hpp"

namespace dn::ref {

std::unique_ptr<Kernel> make_cost(const HostContext& context) { return std::make_unique<PassThrough>(context); }

}  // namespace dn::ref
