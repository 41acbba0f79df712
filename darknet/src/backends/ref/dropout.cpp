// SPDX-License-Identifier: Apache-2.0
// [dropout]: acts in training only; its input passes through.
#include <algorithm>

#include "ref.hpp"

namespace dn::ref {
namespace {

class Dropout : public RefKernel {
public:
    using RefKernel::RefKernel;

    void forward() override { std::copy_n(src(0), context_.dst.size(), dst(0)); }
};

}  // namespace

std::unique_ptr<Kernel> make_dropout(const KernelContext& context) { return std::make_unique<Dropout>(context); }

}  // namespace dn::ref
