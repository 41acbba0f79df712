// SPDX-License-Identifier: Apache-2.0
// The numbers of a network: one array per ArraySpec of each node, float32, shared between clones.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "graph.hpp"
#include "shared_mutex.hpp"

namespace dn {

class TrainState;

using Floats = std::vector<float>;

constexpr double kBatchNormEpsilon = 1e-5;  // added to a variance inside the root, as Darknet does

constexpr Role kRoles[] = {Role::biases, Role::scales, Role::means, Role::variances, Role::weights};
constexpr Role kTrainedRoles[] = {Role::biases, Role::scales, Role::weights};  // the others are rolling statistics

constexpr bool is_rolling(Role role) { return role == Role::means || role == Role::variances; }

// Throws Error(invalid_argument) naming all roles.
Role parse_role(const std::string& name);

struct NodeParameters {
    Floats biases, scales, means, variances, weights;  // empty where the node has none
    Floats& array(Role role);
    const Floats& array(Role role) const;
};

// The values on the host. Clones share them, so a thread may read them while another trains: each of them reads
// through read_parameters() (backends/train_state.hpp), and a training changes them with `mutex` locked.
// Indexed like Graph::nodes. A node that shares another's weights (share_index) holds nothing: see of().
struct Parameters {
    std::vector<NodeParameters> nodes;
    std::uint64_t seen = 0;  // images processed in training, from the file's header
    // They grow with every change of the values that a training trains, and of its rolling statistics. Compiled plans
    // have packed the first and folded in the second.
    std::atomic<std::uint64_t> weights_version{0}, statistics_version{0};

    FairSharedMutex mutex;
    std::shared_ptr<TrainState> training;  // the one that moves these values now, if any
    // Versions of the values above; behind the versions where `training` keeps them in memory of its own.
    std::uint64_t host_weights_version = 0, host_statistics_version = 0;

    const NodeParameters& of(const Graph& graph, int node) const;
    NodeParameters& of(const Graph& graph, int node);
};

// The node whose weights `node` uses: itself, or the one that its share_index names.
int weights_owner(const Graph& graph, int node);

// Allocates and initialises every array that is still empty, so that a file covering the whole network costs nothing:
//     Parameters p; read_weights(path, graph, p); initialise_missing(graph, p, seed);
void initialise_missing(const Graph& graph, Parameters& parameters, std::uint64_t seed);

// Allocates and initialises as Darknet does: weights random by fan-in (from `seed`), biases 0, scales 1,
// means 0, variances 1 (Darknet's 0 multiplies an unloaded layer by 316; Trainer begins at it all the same).
std::shared_ptr<Parameters> initial_parameters(const Graph& graph, std::uint64_t seed);

}  // namespace dn
