// SPDX-License-Identifier: Apache-2.0
// [sam]: element-wise product of two layers, then an activation.
#include "../ref/ref.hpp"

#include "cpu.hpp"
#include "elementwise.hpp"

namespace dn::cpu {
namespace {

class Sam : public Kernel {
public:
    explicit Sam(const Context& context)
        : a_(context.src[0]),
          b_(context.src[1]),
          dst_(context.dst),
          activation_(context.node.as<SamParams>().activation) {}

    void forward() override {
        for_each_run(dst_, all_dense({&a_, &b_, &dst_}), [&](const Run& run) {
            float x[kRow], y[kRow];
            load(x, a_, run);
            load(y, b_, run);
            multiply(x, y, run.count);
            activate(x, run.count, activation_);
            store(dst_, run, x);
        });
    }

    std::string what() const override { return "sam"; }

private:
    Tensor a_, b_, dst_;
    Activation activation_;
};

}  // namespace

std::unique_ptr<Kernel> make_sam(const Context& context) {
    if (normalizes_channels(context.node.as<SamParams>().activation)) return make_by_reference(context, ref::make_sam);
    return std::make_unique<Sam>(context);
}

}  // namespace dn::cpu
