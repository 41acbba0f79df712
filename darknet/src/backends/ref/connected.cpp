// SPDX-License-Identifier: Apache-2.0
// [connected]: y_o = f(BN(sum over i of W[o, i] x_i) + b_o).
#include "activations.hpp"
#include "common.hpp"
#include "ref.hpp"

namespace dn::ref {
namespace {

class Connected : public RefKernel {
public:
    using RefKernel::RefKernel;

    void forward() override {
        const auto& params = node().as<ConnectedParams>();
        for (int i = 0; i < batch(); ++i) multiply(src(i), dst(i));
        if (params.batch_normalize)
            normalize_batch(weights(), dst(0), batch(), node().out);
        else
            add_biases(weights(), dst(0), batch(), node().out);
        activate(params.activation, dst(0), batch(), node().out);
    }

private:
    void multiply(const float* x, float* y) const {
        const std::size_t inputs = src_shape().size();
        const float* row = weights().weights.data();
        for (int o = 0; o < node().out.c; ++o, row += inputs) {
            float sum = 0;
            for (std::size_t k = 0; k < inputs; ++k) sum += row[k] * x[k];
            y[o] = sum;
        }
    }
};

}  // namespace

std::unique_ptr<Kernel> make_connected(const KernelContext& context) { return std::make_unique<Connected>(context); }

}  // namespace dn::ref
