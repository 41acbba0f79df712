// SPDX-License-Identifier: Apache-2.0
// [batchnorm]: y = (x - mean) / sqrt(variance + eps) * scale + bias.
#include <algorithm>

#include "batch_norm.hpp"
#include "common.hpp"
#include "ref.hpp"

namespace dn::ref {
namespace {

class Batchnorm : public RefKernel {
public:
    using RefKernel::RefKernel;

    void forward() override {
        std::copy_n(src(0), context_.dst.size(), dst(0));
        if (context_.training())
            batch_norm_.forward(weights(), *context_.statistics, dst(0), batch(), node().out);
        else
            normalize_batch(weights(), dst(0), batch(), node().out);
    }

    void backward() override {
        batch_norm_.backward(weights(), gradients(), ddst(0), batch(), node().out);
        pass_delta();
    }

private:
    BatchNorm batch_norm_;
};

}  // namespace

std::unique_ptr<Kernel> make_batchnorm(const HostContext& context) { return std::make_unique<Batchnorm>(context); }

}  // namespace dn::ref
