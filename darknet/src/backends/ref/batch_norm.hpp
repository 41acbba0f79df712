// SPDX-License-Identifier: Apache-2.0
// Batch normalisation in training (arXiv 1502.03167), shared by [convolutional], [connected] and [batchnorm].
#pragma once

#include "../../parameters.hpp"

namespace dn::ref {

// Normalises by the batch's own statistics (biased variance) and moves the rolling ones by a hundredth (unbiased
// variance), as Darknet does on a GPU. Keeps what backward needs.
class BatchNorm {
public:
    // x: planes (n, c, h, w), normalised, scaled and shifted in place.
    void forward(const NodeParameters& parameters, NodeParameters& rolling, float* x, int n, Shape shape);
    // delta: that of the output, becomes that of the input; adds to the gradients of scales and biases.
    void backward(const NodeParameters& parameters, NodeParameters& gradients, float* delta, int n, Shape shape) const;

private:
    Floats x_;                // the input, (n, c, h, w)
    Floats means_, inverse_;  // of this batch, per channel; inverse: 1 / sqrt(variance + eps)
};

// gradient of biases += sum of delta per channel.
void add_bias_gradients(NodeParameters& gradients, const float* delta, int n, Shape shape);

}  // namespace dn::ref
