// SPDX-License-Identifier: Apache-2.0
// Passes of an inference plan over a graph before kernels are made: fold, fuse, place, pack into one arena.
// The passes know no backend; PlacementRules states what a backend can do. The graph itself stays as it is.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "../parameters.hpp"

namespace dn {

// -- fold: batch-norm into the weights and biases of the layer it follows ---------------------------------------

// Weights and biases of a convolutional or connected layer with its batch-norm, if any, multiplied in, in double.
// `folded` holds as many floats as the array does.
void fold_weights(const NodeParameters& params, float* folded);
void fold_biases(const NodeParameters& params, float* folded);

// -- fuse: several nodes into one step of the plan --------------------------------------------------------------

// What one node computes besides itself, or that another node computes it.
struct Fusion {
    int residual = -2;  // fused shortcut: the producer added after the activation; -2 none
    Activation residual_activation = Activation::linear;  // applied to the sum
    int first = -1, depthwise = -1;   // convolutions that this one computes before itself: one, in a bottleneck two
    bool computed_elsewhere = false;  // by another node: no kernel of its own
};

// A graph, and beside it what the passes below fuse in it.
class FusedGraph {
public:
    explicit FusedGraph(const Graph& source) : graph(source), fusions_(source.nodes.size()) {}

    Fusion& of(int node) { return fusions_[node]; }
    const Fusion& of(int node) const { return fusions_[node]; }
    // The producers that the node's kernel reads: those of the convolution that it computes first.
    const std::vector<int>& inputs(const Node& node) const;
    // Whether the node's output is its first input's, in the same place.
    bool shares_source(const Node& node) const;

    const Graph& graph;

private:
    std::vector<Fusion> fusions_;
};

// Nodes that the wanted outputs depend on; the others need not be computed.
std::vector<bool> find_needed(const FusedGraph& fused, const std::vector<int>& wanted);

// Every shortcut that its convolution can add itself is computed there, its output being the convolution's. Layers in
// `wanted` keep an output of their own.
void fuse_shortcuts(FusedGraph& fused, const std::vector<int>& wanted);

// A bottleneck: 1x1 convolution -> depthwise convolution -> 1x1 convolution, without other readers between them.
struct Bottleneck {
    const Node &expand, &depthwise, &project;
};

// Each bottleneck that the backend accepts is computed by its last convolution, `project`.
void fuse_bottlenecks(FusedGraph& fused, const std::vector<int>& wanted,
                      const std::function<bool(const Bottleneck&)>& accepts);

// Two convolutions, of which the second is the only reader of the first.
struct ConvPair {
    const Node &first, &second;
};

// Each pair that the backend accepts is computed by its second convolution. Pairs do not overlap.
void fuse_pairs(FusedGraph& fused, const std::vector<int>& wanted, const std::function<bool(const ConvPair&)>& accepts);

// -- place: which buffer, and which channels of it, every output lives in ---------------------------------------

// Channels [offset, offset + c) of a buffer.
struct Place {
    int buffer = -1;
    int offset = 0;
};

struct Buffer {
    Shape shape;  // of one image; shape.c is the pitch
    DType type = DType::f32;
    int first = 0;          // the first node that writes it (-1: the network's input) ...
    int last = 0;           // ... and the last that reads it
    std::size_t start = 0;  // byte offset in the arena, set by pack_arena
};

// Abilities of a backend whose activations are channels-last.
struct PlacementRules {
    std::function<DType(int node)> type;             // of the output; -1: of the input
    std::function<bool(const Node&)> writes_slices;  // into a channel slice of a wider buffer
    std::function<bool(const Node&)> reads_slices;
    std::function<bool(const Node&, std::size_t input)> in_place;  // over that input, if no other node needs it
};

struct Placement {
    std::vector<Place> places;  // places[node + 1]; places[0] is the network's input
    std::vector<Buffer> buffers;
    const Place& of(int node) const { return places[static_cast<std::size_t>(node) + 1]; }
};

// Routes become views where their sources can be written there directly; pass-through layers share their source's
// place; element-wise layers and fused shortcuts overwrite a source that no other node reads.
Placement place_outputs(const FusedGraph& fused, const std::vector<int>& wanted, const PlacementRules& rules);
// True when the node's output is its source's (dropout, empty, single routes, cost): nothing is computed.
bool is_pass_through(const Node& node);

// -- pack: all buffers into one arena, those never alive together sharing bytes ---------------------------------

constexpr std::size_t kArenaAlignment = 64;

// Sets every buffer's start for `batch` images; returns the arena's size in bytes.
std::size_t pack_arena(std::vector<Buffer>& buffers, int batch);
// The output of a node (-1: the network's input) in the arena that the buffers were packed into.
Tensor tensor_in(const FusedGraph& fused, const Placement& placement, int node, int batch, std::byte* arena);

}  // namespace dn
