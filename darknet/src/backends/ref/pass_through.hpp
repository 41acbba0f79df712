// SPDX-License-Identifier: Apache-2.0
// Layers whose input passes through and whose delta passes back.
#pragma once

#include <algorithm>

#include "ref.hpp"

namespace dn::ref {

class PassThrough : public RefKernel {
public:
    using RefKernel::RefKernel;
    void forward() override { std::copy_n(src(0), context_.dst.size(), dst(0)); }
    void backward() override { pass_delta(); }
};

}  // namespace dn::ref
