// SPDX-License-Identifier: Apache-2.0
// [dropout]: in inference its input passes through; in training each value is dropped with the given probability and
// the others grow to keep the sum. Dropblock drops like that too.
#include <algorithm>

#include "../../random.hpp"
#include "ref.hpp"

namespace dn::ref {
namespace {

class Dropout : public RefKernel {
public:
    using RefKernel::RefKernel;

    void forward() override {
        std::copy_n(src(0), context_.dst.size(), dst(0));
        if (!context_.training()) return;
        mask_.resize(context_.dst.size());
        const float probability = node().as<DropoutParams>().probability;
        // The mask is a function of where the run stands, so that a resumed run draws the same.
        const std::uint64_t stream = mix(mix(*context_.seen) + node().index);
        for (std::size_t k = 0; k < mask_.size(); ++k) {
            mask_[k] = uniform(stream, k) < probability ? 0 : 1 / (1 - probability);
            dst(0)[k] *= mask_[k];
        }
    }

    void backward() override {
        for (std::size_t k = 0; k < mask_.size() && dsrc(0); ++k) dsrc(0)[k] += mask_[k] * ddst(0)[k];
    }

private:
    Floats mask_;  // of the last forward pass in training
};

}  // namespace

std::unique_ptr<Kernel> make_dropout(const HostContext& context) { return std::make_unique<Dropout>(context); }

}  // namespace dn::ref
