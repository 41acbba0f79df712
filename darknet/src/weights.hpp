// SPDX-License-Identifier: Apache-2.0
// Darknet .weights files: exact byte accounting on the way in, atomic replacement on the way out.
#pragma once

#include <string>

#include "parameters.hpp"

namespace dn {

struct WeightsReport {
    int major = 0, minor = 0, revision = 0;
    std::uint64_t seen = 0;
    int layers_loaded = 0;  // layers in front of the file's end; equals layers_total for a complete file
    int layers_total = 0;
    std::uint64_t floats = 0;
};

// Fills `parameters` from `path`. The file must end exactly at the network's end or on a layer boundary ("partial").
// Throws Error(weights) naming the layer when it ends inside one, has floats left over, holds NaN/Inf or negative
// variances; where the size fits another class count, the message says which. Nothing is changed when it throws.
WeightsReport read_weights(const std::string& path, const Graph& graph, Parameters& parameters);

// The parameters of a network: initial ones, overwritten by what the file holds. "" : no file.
// The file's size is checked against the graph before anything is allocated.
std::shared_ptr<Parameters> load_parameters(const Graph& graph, const std::string& path, WeightsReport& report);

// Writes layers [0, cutoff) (cutoff < 0: all) to a temporary file in the same folder, fsyncs, renames.
void write_weights(const std::string& path, const Graph& graph, const Parameters& parameters, int cutoff);

}  // namespace dn
