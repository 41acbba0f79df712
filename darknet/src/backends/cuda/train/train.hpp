// SPDX-License-Identifier: Apache-2.0
// Training on a GPU: channels-last tensors, dense, each with its delta beside it. Outputs and deltas have the type of
// convolutions, those of layers with a loss float32. Deltas are multiplied by the state's loss scale.
#pragma once

#include <memory>
#include <vector>

#include "../../../passes/train.hpp"
#include "../kernel_context.hpp"
#include "state.hpp"

namespace dn::cuda {

// Input of a training kernel. Of frozen nodes dst has no delta: they run as in inference, by rolling statistics.
struct TrainContext : Context {
    DeltaFlow flow;

    bool trains() const { return dst.delta != nullptr; }
};

std::unique_ptr<Kernel> make_train_kernel(const TrainContext& context);
// Copies to the host, runs the layer's reference kernel there, and copies back.
std::unique_ptr<Kernel> make_train_by_reference(const TrainContext& context);

std::unique_ptr<Plan> make_train_plan(const Graph& graph, std::shared_ptr<const Parameters> parameters,
                                      std::shared_ptr<Engine> engine, const PlanOptions& options);
// Bytes on the device of such a plan and of the training state, without making them and without the memory that
// cuDNN's engines ask for.
std::size_t train_plan_bytes(const Graph& graph, const PlanOptions& options);

}  // namespace dn::cuda
