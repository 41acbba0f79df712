// SPDX-License-Identifier: Apache-2.0
// [activation]: y = f(x).
#include <algorithm>

#include "activations.hpp"
#include "ref.hpp"

namespace dn::ref {
namespace {

class Activation : public RefKernel {
public:
    using RefKernel::RefKernel;

    void forward() override {
        std::copy_n(src(0), context_.dst.size(), dst(0));
        activate(node().as<ActivationParams>().activation, dst(0), batch(), node().out);
    }

    void backward() override {
        multiply_slope(node().as<ActivationParams>().activation, src(0), dst(0), ddst(0), batch(), node().out);
        pass_delta();
    }
};

}  // namespace

std::unique_ptr<Kernel> make_activation(const HostContext& context) { return std::make_unique<Activation>(context); }

}  // namespace dn::ref
