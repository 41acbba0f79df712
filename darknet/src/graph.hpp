// SPDX-License-Identifier: Apache-2.0
// A network as data: the [net] section and a list of nodes with parameters, inputs and shapes. No weights, no memory.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cfg.hpp"
#include "layers/params.hpp"
#include "tensor.hpp"

namespace dn {

enum class Kind {
#define DN_LAYER(name) name,
#include "layers/layers.def"
#undef DN_LAYER
};

// The [net] section: input and schedule. Augmentation is read by those who prepare the images.
struct NetParams {
    int batch = 1, subdivisions = 1, width = 0, height = 0, channels = 0;
    bool letter_box = false;
    float momentum = 0.9f, decay = 0.0001f, learning_rate = 0.001f, learning_rate_min = 1e-5f;
    int burn_in = 0, max_batches = 0;
    float power = 4;
    std::string policy = "constant";
    std::vector<int> steps;
    std::vector<float> scales;
    int step = 1;
    float scale = 1, gamma = 1;
    int sgdr_cycle = 0, sgdr_mult = 2;
    bool adam = false;
    float adam_b1 = 0.9f, adam_b2 = 0.999f, adam_eps = 1e-6f, ema_alpha = 0;
    float loss_scale = 0;  // that training in float16 begins with; 0: LossScale's own
};

// One parameter array of a node, in the order of the weights file.
enum class Role { biases, scales, means, variances, weights };

struct ArraySpec {
    Role role;
    std::size_t count;
};

const char* role_name(Role role);

struct Node {
    int index = 0;
    Kind kind = Kind::empty;
    std::string where;        // "net.cfg:57 [convolutional]"
    std::vector<int> inputs;  // producers; -1 is the network's input
    Shape in, out;            // per image; `in` is that of inputs[0]
    std::shared_ptr<const LayerParams> params;
    std::vector<ArraySpec> arrays;  // empty when the node owns no parameters
    int share_index = -1;           // node that owns the weights it uses; -1: this one
    double flops = 0;               // multiply-adds x 2 per image, as Darknet counts them
    float learning_rate = 1;        // per-layer factor
    float clip = 0;
    int stop_backward = 0, dont_update = 0, burnin_update = 0;
    bool only_forward = false, train_only_bn = false, dont_load = false, dont_load_scales = false;

    template <class P>
    const P& as() const {
        return static_cast<const P&>(*params);
    }
    std::size_t parameter_count() const;
    bool is_head() const;  // its output is decoded to boxes
};

struct Graph {
    std::string file;
    NetParams net;
    Shape input;
    std::vector<Node> nodes;
    std::vector<std::string> warnings;
    std::vector<std::string> without_effect;  // keys that are set and change nothing here, though they do in Darknet

    Shape shape_of(int node) const { return node < 0 ? input : nodes[node].out; }
    const Node& node(int layer) const;  // throws Error(invalid_argument) for a number that no layer has
    std::vector<int> heads() const;
    std::vector<int> default_outputs() const;  // the heads, or the network's output where it has none
    int output_node() const;                   // the last that is not [cost]
    int stride() const;  // input size must be a multiple of it for heads to line up; 1 for flat networks
};

// Reads the [net] section.
NetParams read_net(CfgOptions& options, std::vector<std::string>& warnings);
// Builds the graph: parses every section, checks every shape. strict: what is probably a mistake, though
// Darknet reads it, is an error, else a warning.
Graph build_graph(const Cfg& cfg, bool strict);
// The same network at another input size; throws Error(cfg) when a layer cannot have it.
void resize_graph(Graph& graph, int width, int height);

}  // namespace dn
