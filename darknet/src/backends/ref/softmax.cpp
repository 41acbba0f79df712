// SPDX-License-Identifier: Apache-2.0
// [softmax]: over the whole input, over each of `groups` parts, or over each group of siblings of a tree.
#include "common.hpp"
#include "ref.hpp"

namespace dn::ref {
namespace {

class Softmax : public RefKernel {
public:
    using RefKernel::RefKernel;

    void forward() override {
        const auto& params = node().as<SoftmaxParams>();
        const int count = node().out.c / params.groups;
        for (int i = 0; i < batch(); ++i) {
            if (!params.tree.parent.empty()) {
                ref::softmax(params.tree, src(i), dst(i), params.temperature);
                continue;
            }
            for (int group = 0; group < params.groups; ++group)
                ref::softmax(src(i) + std::size_t{1} * group * count, dst(i) + std::size_t{1} * group * count, count, 1,
                             params.temperature);
        }
    }
    // The loss has already made the delta that of the input.
    void backward() override { pass_delta(); }
};

}  // namespace

std::unique_ptr<Kernel> make_softmax(const HostContext& context) { return std::make_unique<Softmax>(context); }

}  // namespace dn::ref
