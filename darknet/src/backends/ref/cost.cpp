// SPDX-License-Identifier: Apache-2.0
// [cost]: a loss for training; its input passes through.
#include <algorithm>

#include "ref.hpp"

namespace dn::ref {
namespace {

class Cost : public RefKernel {
public:
    using RefKernel::RefKernel;

    void forward() override { std::copy_n(src(0), context_.dst.size(), dst(0)); }
};

}  // namespace

std::unique_ptr<Kernel> make_cost(const KernelContext& context) { return std::make_unique<Cost>(context); }

}  // namespace dn::ref
