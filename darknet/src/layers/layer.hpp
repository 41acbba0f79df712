// SPDX-License-Identifier: Apache-2.0
// Definition of a layer: its spellings and keys in a cfg, its shapes, its parameters in file order.
// How it is computed stands in backends/. Register a layer with one line in layers.def.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "../cfg.hpp"
#include "../graph.hpp"

namespace dn {

struct Candidate;
struct DecodeOptions;
struct LossContext;
struct LossReport;

// The first five members of every layer; those with a default where they differ from it.
struct LayerDef {
    Kind kind;
    const char* name;                   // as in layers.def
    std::vector<const char*> sections;  // spellings in a cfg, case-sensitive
    // Reads the section's keys into node.params and node.inputs (default: the previous node).
    void (*parse)(CfgOptions& options, const Graph& graph, Node& node);
    // Sets node.out, node.arrays and node.flops from the inputs' shapes; throws Error(cfg) when they cannot fit.
    void (*infer)(const Graph& graph, Node& node);

    bool head = false;          // detects: its output is decoded to boxes
    bool element_wise = false;  // an output value depends on the input values of its own place: may be in place
    bool keeps_float = false;   // its output is read by people or by decoding, so it stays float32
    bool clamp_step = false;    // training does not decay its weights and limits a step's gradient to -1 .. 1
    // Why it cannot be trained; null: it can.
    const char* untrainable = nullptr;
    // Its output is its first input, value by value: nothing is computed.
    bool (*pass_through)(const Node& node) = nullptr;
    // Its own numbers for the table of layers, for example "64 3x3/2 mish" or "from 3".
    std::string (*describe)(const Node& node) = nullptr;
    // Fills its weights before training; null: they begin at 0. Values come from `stream` alone (see random.hpp).
    void (*initial_weights)(const Node& node, std::vector<float>& weights, std::uint64_t stream) = nullptr;
    // Whether a weights file holds its weights as (inputs, outputs); `header_says_so` is the mark in the file's header.
    bool (*transposed)(const Node& node, bool header_says_so) = nullptr;

    // Of a head: the classes it reports; the values per anchor, 0 where its class count cannot be chosen freely; its
    // NMS (null: the default); its output as boxes (see decode/decode.hpp).
    int (*classes)(const Node& head) = nullptr;
    int (*entries)(const Node& head) = nullptr;
    NmsSettings (*nms)(const Node& head) = nullptr;
    void (*decode)(const Node& head, const float* output, Shape net_input, const DecodeOptions& options,
                   std::vector<Candidate>& out) = nullptr;

    // Loss and gradient (see losses/loss.hpp); null: it owns no cost, nor does a node for which `lossless` is true.
    LossReport (*loss)(const Node& node, const LossContext& context, const float* output, float* delta) = nullptr;
    bool (*lossless)(const Node& node) = nullptr;
};

// One accessor per layer, defined in its file.
#define DN_LAYER(name) const LayerDef& layer_##name();
#include "layers.def"
#undef DN_LAYER

const LayerDef& layer_def(Kind kind);
// Null when no layer is spelt so.
const LayerDef* find_layer(const std::string& section);
std::vector<std::string> layer_spellings();
// Why a section of Darknet or a fork is refused here; null when it is not one of those.
const char* refused_section(const std::string& section);
// Throws on keys of forks without which the network would compute something else.
void refuse_keys(CfgOptions& options);

// -- helpers shared by the layer files ---------------------------------------------------------------------------

Activation parse_activation(CfgOptions& options, const char* key, Activation fallback);
const char* activation_name(Activation activation);
// The node that `reference` means in a layer at `node`: negative counts back, others are absolute.
int resolve_reference(const CfgOptions& options, const std::string& key, const Node& node, int reference);
// Reads a class tree (lines "name parent") for softmax and region; throws Error with the line that is wrong.
Tree read_tree(const std::string& path, const std::string& where);
// Side length after a window of `size` slides over `in + padding` by `stride`; throws when the window does not fit.
int window_out(const Node& node, int in, int padding, int size, int stride);
// The same after the blur of antialiasing (1: 3x3 padded by 1, 2: 2x2) by `stride`; `in` itself for mode 0.
int blurred_out(const Node& node, int in, int antialiasing, int stride);
// Reads stride, and stride_x and stride_y, which fall back to it.
void read_strides(CfgOptions& options, int& stride_x, int& stride_y);
// "2", or "2x1" where the strides differ.
std::string describe_strides(int stride_x, int stride_y);
// The node's inputs from the `first` on, as "3,5".
std::string describe_inputs(const Node& node, std::size_t first);
bool always(const Node& node);  // for LayerDef::pass_through
// Random values, uniform in mean +- radius.
void fill_uniform(std::vector<float>& values, float mean, float radius, std::uint64_t stream);
// Darknet's start of a convolution: uniform within the root of 2 / fan-in.
void fill_by_fan_in(std::vector<float>& values, std::size_t fan_in, std::uint64_t stream);
// Throws Error(cfg) unless the value is within 1 .. 2^31-1, the limit of every extent and of a whole image.
Shape checked_shape(const Node& node, long long c, long long h, long long w);
// The product of the factors as the length of a parameter array; throws Error(cfg) above 2^31-1 values.
std::size_t checked_count(const Node& node, std::initializer_list<std::size_t> factors);
// Height and width of a convolution's true output, strides of a blur left out. Darknet forgets the dilation when it
// computes a layer's shape; where the two differ its windows are misread, and so they are here: see
// backends/ref/convolutional.cpp. Such layers are of no use, but answers stay Darknet's.
Shape unfolded_shape(const ConvolutionalParams& params, Shape in);
// Whether an output of this shape, in front of the blur of antialiasing, is the true one.
bool counts_windows(const ConvolutionalParams& params, Shape in, Shape out);
// Throws Error(cfg) unless the head's input has `anchors` times `entries` channels, naming the convolution in front
// of it, whose filters are then wrong. `formula` says where the entries come from: "classes + 5".
void check_head_channels(const Graph& graph, const Node& head, int entries, int anchors, const char* formula);
[[noreturn]] void shape_error(const Node& node, const std::string& message);

template <class E>
struct Choice {
    const char* name;
    E value;
};

// The value that the key's word stands for; throws Error(cfg) with the possible words when it is none of them.
template <class E>
E parse_choice(CfgOptions& options, const char* key, E fallback, std::initializer_list<Choice<E>> choices) {
    if (!options.has(key)) return fallback;
    const std::string word = options.word(key, "");
    std::string expected;
    for (const Choice<E>& choice : choices) {
        if (word == choice.name) return choice.value;
        expected += (expected.empty() ? "" : ", ") + std::string(choice.name);
    }
    options.fail(key, "found \"" + word + "\", expected one of " + expected);
}

}  // namespace dn
