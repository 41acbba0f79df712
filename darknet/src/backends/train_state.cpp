// SPDX-License-Identifier: Apache-2.0
// Parameters between the training that moves them and the threads that read them.
#include "train_state.hpp"

#include <mutex>

#include "../error.hpp"

namespace dn {
namespace {

bool host_is_current(const Parameters& parameters) {
    return parameters.host_weights_version == parameters.weights_version &&
           parameters.host_statistics_version == parameters.statistics_version;
}

// Under the exclusive lock.
void copy_to_host(const Graph& graph, Parameters& parameters) {
    if (host_is_current(parameters)) return;
    const bool weights = parameters.host_weights_version != parameters.weights_version;
    const bool statistics = parameters.host_statistics_version != parameters.statistics_version;
    for (const Node& node : graph.nodes)
        for (const ArraySpec& spec : node.arrays)
            if (is_rolling(spec.role) ? statistics : weights)
                parameters.training->get(StateKind::parameters, node.index, spec.role,
                                         parameters.nodes[node.index].array(spec.role).data());
    parameters.host_weights_version = parameters.weights_version;
    parameters.host_statistics_version = parameters.statistics_version;
}

[[noreturn]] void cannot_share() {
    throw Error(Status::backend, "", "this backend cannot train with several workers yet; use cpu or ref");
}

[[noreturn]] void cannot_scale() {
    throw Error(Status::internal, "", "losses are scaled for a backend that does not compute in float16");
}

}  // namespace

void TrainState::set_loss_scale(float) { cannot_scale(); }

void TrainState::begin_update() { cannot_scale(); }

void TrainState::drop_update() { cannot_scale(); }

bool TrainState::has_overflowed() const { cannot_scale(); }

std::string TrainState::why_no_group() const { return "the backend leaves the sum of gradients to its caller"; }

WorkerGroupId TrainState::group_id() const { throw Error(Status::backend, "", why_no_group()); }

void TrainState::join_group(const WorkerGroupId&, int, int, double) {
    throw Error(Status::backend, "", why_no_group());
}

void TrainState::sum_gradients(double) { throw Error(Status::backend, "", "the workers have not joined a group"); }

void TrainState::begin_share(std::uint64_t) { cannot_share(); }

void TrainState::get_share(int, Role, float*) const { cannot_share(); }

LockedParameters read_parameters(const Graph& graph, Parameters& parameters) {
    for (;;) {
        std::shared_lock<FairSharedMutex> lock(parameters.mutex);
        if (host_is_current(parameters)) return {parameters, std::move(lock)};
        lock.unlock();
        const std::lock_guard<FairSharedMutex> alone(parameters.mutex);
        copy_to_host(graph, parameters);
    }
}

ActiveTraining::ActiveTraining(std::shared_ptr<const Graph> graph, std::shared_ptr<Parameters> parameters,
                               const std::function<std::shared_ptr<TrainState>()>& make)
    : graph_(std::move(graph)), parameters_(std::move(parameters)) {
    const std::lock_guard<FairSharedMutex> alone(parameters_->mutex);
    if (parameters_->training)
        throw Error(Status::invalid_argument, graph_->file,
                    "another trainer trains the weights of this network already; free it first, or load the network "
                    "once more for weights of its own");
    parameters_->training = make();
}

ActiveTraining::~ActiveTraining() {
    const std::lock_guard<FairSharedMutex> alone(parameters_->mutex);
    try {
        copy_to_host(*graph_, *parameters_);
        parameters_->training.reset();
    } catch (...) {
        // The state stays, for the next reader to try again and to see the error.
    }
}

}  // namespace dn
