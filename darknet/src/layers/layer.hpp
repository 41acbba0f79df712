// SPDX-License-Identifier: Apache-2.0
// What a layer IS: its spellings and keys in a cfg, its shapes, its parameters in file order.
// How it is computed stands in backends/. Register a layer with one line in layers.def.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "../cfg.hpp"
#include "../graph.hpp"

namespace dn {

struct LayerDef {
    Kind kind;
    const char* name;                   // as in layers.def
    std::vector<const char*> sections;  // spellings in a cfg, case-sensitive
    // Reads the section's keys into node.params and node.inputs (default: the previous node).
    void (*parse)(Options& options, const Graph& graph, Node& node);
    // Sets node.out, node.arrays and node.flops from the inputs' shapes; throws Error(cfg) when they cannot fit.
    void (*infer)(const Graph& graph, Node& node);
};

// One accessor per layer, defined in its file.
#define DN_LAYER(name) const LayerDef& layer_##name();
#include "layers.def"
#undef DN_LAYER

const LayerDef& layer_def(Kind kind);
// Null when no layer is spelt so.
const LayerDef* find_layer(const std::string& section);
std::vector<std::string> layer_spellings();
// Why Darknet's section is not supported, or null when Darknet has none so called.
const char* unsupported_reason(const std::string& section);

// -- helpers shared by the layer files ---------------------------------------------------------------------------

Activation parse_activation(Options& options, const char* key, Activation fallback);
const char* activation_name(Activation activation);
// The node that `reference` means in a layer at `node`: negative counts back, others are absolute.
int resolve_reference(const Options& options, const std::string& key, const Node& node, int reference);
// Reads a class tree (lines "name parent") for softmax and region; throws Error with the line that is wrong.
Tree read_tree(const std::string& path, const std::string& where);
// Side length after a window of `size` slides over `in + padding` by `stride`; throws when the window does not fit.
int window_out(const Node& node, int in, int padding, int size, int stride);
// Throws Error(cfg) unless the value is within 1 .. 2^31-1, the limit of every extent and of a whole image.
Shape checked_shape(const Node& node, long long c, long long h, long long w);
[[noreturn]] void shape_error(const Node& node, const std::string& message);

}  // namespace dn
