// SPDX-License-Identifier: Apache-2.0
// Steps between a convolution's sums and its output in training: batch norm or biases, then the activation.
// Forward reads the sums twice (statistics, values), backward reads sums and deltas twice (sums, values) and writes
// deltas once, or twice where slopes are costly; nothing else is kept.
#pragma once

#include <vector>

#include "slopes.hpp"
#include "train.hpp"

namespace dn::cpu {

class NormAndActivate {
public:
    NormAndActivate(const TrainContext& context, Activation activation, bool normalize)
        : context_(context), activation_(activation), normalize_(normalize) {}

    // sums -> dst; both (n, c, h, w), dense. Moves the rolling statistics.
    void forward(const Tensor& sums, const Tensor& dst);
    // delta: that of dst, becomes that of sums in place. Adds to the gradients of scales and biases.
    void backward(const Tensor& sums, const Tensor& delta);

private:
    void measure(const Tensor& sums);
    void use_rolling();
    void move_rolling(const std::vector<double>& means, const std::vector<double>& variances, double count);
    bool slope_later() const;
    CheapSlope slope_of(const Floats& scale, const Floats& shift) const;
    void activate_and_reduce(const Tensor& sums, const Tensor& delta, std::vector<double>& totals,
                             std::vector<double>& products) const;

    const TrainContext context_;
    const Activation activation_;
    const bool normalize_;
    // Per channel: z = sums * scale + shift is what the activation sees; x^ = sums * inverse + offset is normalised.
    Floats scale_, shift_, inverse_, offset_;
};

}  // namespace dn::cpu
