// SPDX-License-Identifier: Apache-2.0
// Layers that run the reference kernel in training, forward and backward: heads, and those too rare or too small for a
// training kernel here.
#include "../../adapt/by_reference.hpp"
#include "../layout.hpp"
#include "train.hpp"

namespace dn::cpu {
namespace {

class TrainByReference : public ByReference<ChannelsLast, TrainKernel> {
public:
    explicit TrainByReference(const TrainContext& context)
        : ByReference(context, ref::make_kernel), receives_(context.receives), overwrite_(context.overwrite) {}

    float* output_planes() override { return output(); }
    float* delta_planes() override { return output_delta(); }
    void backward() override { backward_by_planes(receives_, overwrite_); }

private:
    const bool receives_;
    const std::vector<bool> overwrite_;
};

}  // namespace

std::unique_ptr<TrainKernel> make_train_by_reference(const TrainContext& context) {
    return std::make_unique<TrainByReference>(context);
}

}  // namespace dn::cpu
