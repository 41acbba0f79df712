// SPDX-License-Identifier: Apache-2.0
// [activation]: one function over every value.
#include "../ref/ref.hpp"

#include "cpu.hpp"
#include "elementwise.hpp"

namespace dn::cpu {
namespace {

class ActivationKernel : public Kernel {
public:
    explicit ActivationKernel(const Context& context)
        : src_(context.src[0]), dst_(context.dst), activation_(context.node.as<ActivationParams>().activation) {}

    void forward() override {
        for_each_run(dst_, all_dense({&src_, &dst_}), [&](const Run& run) {
            float row[kRow];
            load(row, src_, run);
            activate(row, run.count, activation_);
            store(dst_, run, row);
        });
    }

    std::string what() const override { return "activation"; }

private:
    Tensor src_, dst_;
    Activation activation_;
};

}  // namespace

std::unique_ptr<Kernel> make_activation(const Context& context) {
    if (normalizes_channels(context.node.as<ActivationParams>().activation))
        return make_by_reference(context, ref::make_activation);
    return std::make_unique<ActivationKernel>(context);
}

}  // namespace dn::cpu
