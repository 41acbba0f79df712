// SPDX-License-Identifier: Apache-2.0
// Batch norm or biases, then the activation, in training: what stands between a convolution's sums and its output.
// The sums alone are kept; the backward pass computes the rest again.
#pragma once

#include "../kernels/batch_norm.cuh"
#include "train.hpp"

namespace dn::cuda {

class NormAndActivate {
public:
    NormAndActivate(const TrainContext& context, Activation activation, bool normalize);

    // src -> dst, which may be the same. Moves the rolling statistics of a layer in training. scratch:
    // train_scratch_bytes().
    void forward(View src, View dst, float* scratch) const;
    // The delta of the output becomes that of src in `target`, which may be the same, or is added to it. Adds to the
    // gradients of scales and biases.
    void backward(View src, View delta, View target, bool add, float* scratch) const;

private:
    void measure(View src, float* partial) const;

    const Tensor shape_;  // of the output
    const int activation_;
    const bool normalize_, measures_;
    const Kept kept_;
    Normalization by_;
    float *rolling_means_, *rolling_variances_, *bias_gradients_, *scale_gradients_;
    const float *variances_, *unscale_;
    Launch<MomentsArgs> moments_;
    Launch<StatisticsArgs> statistics_;
    Launch<InverseArgs> inverse_;
    Launch<NormalizeArgs> values_;
    Launch<NormalizeBackwardArgs> sums_, deltas_;
    Launch<NormalizeGradientsArgs> gradients_;
};

}  // namespace dn::cuda
