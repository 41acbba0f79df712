// SPDX-License-Identifier: Apache-2.0
// [sam]: y = act(gate * from).
#include "activations.hpp"
#include "ref.hpp"

namespace dn::ref {
namespace {

class Sam : public RefKernel {
public:
    using RefKernel::RefKernel;

    void forward() override {
        for (int i = 0; i < batch(); ++i)
            for (std::size_t k = 0; k < node().out.size(); ++k) dst(i)[k] = src(i, 0)[k] * src(i, 1)[k];
        if (context_.training() && slope_needs_input(node().as<SamParams>().activation))
            linear_.assign(dst(0), dst(0) + context_.dst.size());
        activate(node().as<SamParams>().activation, dst(0), batch(), node().out);
    }

    void backward() override {
        multiply_slope(node().as<SamParams>().activation, linear_.data(), dst(0), ddst(0), batch(), node().out);
        for (int i = 0; i < batch(); ++i)
            for (std::size_t k = 0; k < node().out.size(); ++k) {
                if (dsrc(i, 0)) dsrc(i, 0)[k] += ddst(i)[k] * src(i, 1)[k];
                if (dsrc(i, 1)) dsrc(i, 1)[k] += ddst(i)[k] * src(i, 0)[k];
            }
    }

private:
    Floats linear_;  // in front of the activation, where its slope asks for that
};

}  // namespace

std::unique_ptr<Kernel> make_sam(const HostContext& context) { return std::make_unique<Sam>(context); }

}  // namespace dn::ref
