// SPDX-License-Identifier: Apache-2.0
// [connected]: y_o = f(BN(sum over i of W[o, i] x_i) + b_o).
#include "activations.hpp"
#include "batch_norm.hpp"
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
        if (!params.batch_normalize)
            add_biases(weights(), dst(0), batch(), node().out);
        else if (context_.training())
            batch_norm_.forward(weights(), *context_.statistics, dst(0), batch(), node().out);
        else
            normalize_batch(weights(), dst(0), batch(), node().out);
        if (context_.training() && slope_needs_input(params.activation))
            linear_.assign(dst(0), dst(0) + context_.dst.size());
        activate(params.activation, dst(0), batch(), node().out);
    }

    void backward() override {
        const auto& params = node().as<ConnectedParams>();
        multiply_slope(params.activation, linear_.data(), dst(0), ddst(0), batch(), node().out);
        if (params.batch_normalize)
            batch_norm_.backward(weights(), gradients(), ddst(0), batch(), node().out);
        else
            add_bias_gradients(gradients(), ddst(0), batch(), node().out);
        for (int i = 0; i < batch(); ++i) multiply_backward(src(i), ddst(i), dsrc(i));
    }

private:
    void multiply_backward(const float* x, const float* delta, float* dx) const {
        const std::size_t inputs = src_shape().size();
        for (int o = 0; o < node().out.c; ++o)
            for (std::size_t k = 0; k < inputs; ++k) {
                gradients().weights[o * inputs + k] += delta[o] * x[k];
                if (dx) dx[k] += weights().weights[o * inputs + k] * delta[o];
            }
    }

    void multiply(const float* x, float* y) const {
        const std::size_t inputs = src_shape().size();
        const float* row = weights().weights.data();
        for (int o = 0; o < node().out.c; ++o, row += inputs) {
            float sum = 0;
            for (std::size_t k = 0; k < inputs; ++k) sum += row[k] * x[k];
            y[o] = sum;
        }
    }

    Floats linear_;  // in front of the activation, where its slope asks for that
    BatchNorm batch_norm_;
};

}  // namespace

std::unique_ptr<Kernel> make_connected(const HostContext& context) { return std::make_unique<Connected>(context); }

}  // namespace dn::ref
