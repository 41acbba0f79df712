// SPDX-License-Identifier: Apache-2.0
// Where each parameter array stands in a weights file, and what a file's size says about the network it belongs to.
#pragma once

#include <string>
#include <vector>

#include "graph.hpp"

namespace dn {

struct WeightsEntry {
    int node;
    ArraySpec array;
    std::uint64_t offset;  // floats after the header
};

struct WeightsLayout {
    std::vector<WeightsEntry> entries;  // in file order
    std::uint64_t floats = 0;           // of a complete file
};

// Arrays that a reader expects: without the layers marked dontload and the arrays that dontloadscales drops.
WeightsLayout layout_to_read(const Graph& graph);
// Arrays that a writer writes: layers [0, cutoff), whatever dontload says, as Darknet does.
WeightsLayout layout_to_write(const Graph& graph, int cutoff);

// The number of layers that a file of `floats` floats covers: all, or those up to the end of one that owns
// parameters. Throws Error(weights) for any other size, naming where it ends and, if one fits, the class count.
int layers_covered(const Graph& graph, const WeightsLayout& layout, std::uint64_t floats, const std::string& path);

// "layer 125 (yolov4.cfg:1020 [convolutional])"
std::string layer_name(const Node& node);

}  // namespace dn
