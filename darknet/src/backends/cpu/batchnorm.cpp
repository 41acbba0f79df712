// SPDX-License-Identifier: Apache-2.0
// [batchnorm] on its own: with rolling statistics it is one factor and one shift per channel.
#include <cmath>

#include "cpu.hpp"
#include "elementwise.hpp"

namespace dn::cpu {
namespace {

constexpr float kEpsilon = static_cast<float>(kBatchNormEpsilon);

class BatchNorm : public Kernel {
public:
    explicit BatchNorm(const Context& context)
        : src_(context.src[0]), dst_(context.dst), factors_(context.params->scales), shifts_(context.params->biases) {
        for (std::size_t c = 0; c < factors_.size(); ++c) {
            factors_[c] /= std::sqrt(context.params->variances[c] + kEpsilon);
            shifts_[c] -= context.params->means[c] * factors_[c];
        }
    }

    void forward() override {
        for_each_run(dst_, false, [&](const Run& run) {
            float x[kRow], y[kRow];
            load(x, src_, run);
            std::copy_n(&shifts_[run.channel], run.count, y);
            add_scaled(y, x, &factors_[run.channel], run.count);
            store(dst_, run, y);
        });
    }

    std::string what() const override { return "batchnorm"; }

private:
    Tensor src_, dst_;
    Floats factors_, shifts_;
};

}  // namespace

std::unique_ptr<Kernel> make_batchnorm(const Context& context) { return std::make_unique<BatchNorm>(context); }

}  // namespace dn::cpu
