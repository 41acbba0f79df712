// SPDX-License-Identifier: Apache-2.0
// The table of layers and the helpers that their files share.
#include "layer.hpp"

#include <array>
#include <cctype>
#include <cmath>
#include <fstream>
#include <limits>

#include "../error.hpp"
#include "../random.hpp"

namespace dn {
namespace {

struct ActivationName {
    const char* name;
    Activation activation;
};

constexpr std::array<ActivationName, 23> kActivations{{
    {"linear", Activation::linear},
    {"logistic", Activation::logistic},
    {"loggy", Activation::loggy},
    {"relu", Activation::relu},
    {"relu6", Activation::relu6},
    {"elu", Activation::elu},
    {"selu", Activation::selu},
    {"gelu", Activation::gelu},
    {"relie", Activation::relie},
    {"ramp", Activation::ramp},
    {"leaky", Activation::leaky},
    {"revleaky", Activation::leaky},
    {"tanh", Activation::tanh},
    {"plse", Activation::plse},
    {"stair", Activation::stair},
    {"hardtan", Activation::hardtan},
    {"lhtan", Activation::lhtan},
    {"swish", Activation::swish},
    {"mish", Activation::mish},
    {"hard_mish", Activation::hard_mish},
    {"normalize_channels", Activation::normalize_channels},
    {"normalize_channels_softmax", Activation::normalize_channels_softmax},
    {"normalize_channels_softmax_maxval", Activation::normalize_channels_softmax_maxval},
}};

struct OtherName {
    const char* word;  // in lower case, without "_" and "-"
    const char* here;  // nullptr: Darknet has no such function
};

// The names of other frameworks. By spelling alone, "silu" would be nearest to "selu", another function.
constexpr OtherName kOtherNames[] = {
    {"silu", "swish"},       {"sigmoid", "logistic"},  {"leakyrelu", "leaky"}, {"lrelu", "leaky"},
    {"hardtanh", "hardtan"}, {"identity", "linear"},   {"none", "linear"},     {"hardswish", nullptr},
    {"hswish", nullptr},     {"hardsigmoid", nullptr}, {"hsigmoid", nullptr},  {"prelu", nullptr},
    {"rrelu", nullptr},      {"celu", nullptr},        {"softplus", nullptr},  {"softsign", nullptr},
    {"hardshrink", nullptr}, {"logsigmoid", nullptr},  {"glu", nullptr},       {"crelu", nullptr},
};

using Accessor = const LayerDef& (*)();

constexpr Accessor kLayers[] = {
#define DN_LAYER(name) layer_##name,
#include "layers.def"
#undef DN_LAYER
};

// "; did you mean ...?" or the like, for a word that is not an activation; "" without a guess.
std::string activation_hint(const std::string& word) {
    std::string plain;
    for (const char ch : word)
        if (ch != '_' && ch != '-') plain += static_cast<char>(std::tolower(static_cast<unsigned char>(ch)));
    for (const OtherName& entry : kOtherNames)
        if (plain == entry.word)
            return entry.here ? text("; did you mean \"", entry.here, "\"?") : "; Darknet has no such function";
    std::vector<std::string> names;
    for (const ActivationName& entry : kActivations) names.emplace_back(entry.name);
    const std::string near = closest(word, names);
    return near.empty() ? "" : text("; did you mean \"", near, "\"?");
}

}  // namespace

const LayerDef& layer_def(Kind kind) { return kLayers[static_cast<std::size_t>(kind)](); }

const LayerDef* find_layer(const std::string& section) {
    for (Accessor accessor : kLayers)
        for (const char* spelling : accessor().sections)
            if (section == spelling) return &accessor();
    return nullptr;
}

std::vector<std::string> layer_spellings() {
    std::vector<std::string> names;
    for (Accessor accessor : kLayers) names.insert(names.end(), accessor().sections.begin(), accessor().sections.end());
    return names;
}

Activation parse_activation(CfgOptions& options, const char* key, Activation fallback) {
    if (!options.has(key)) return fallback;
    const std::string word = options.word(key, "");
    for (const ActivationName& entry : kActivations)
        if (word == entry.name) return entry.activation;
    options.fail(key, text("unknown activation \"", word, "\"", activation_hint(word)));
}

const char* activation_name(Activation activation) {
    for (const ActivationName& entry : kActivations)
        if (entry.activation == activation) return entry.name;
    return "?";
}

int resolve_reference(const CfgOptions& options, const std::string& key, const Node& node, int reference) {
    const long long target = reference < 0 ? static_cast<long long>(node.index) + reference : reference;
    if (target < 0 || target >= node.index)
        options.fail(key, text("found ", reference, ", which means layer ", target, " seen from layer ", node.index,
                               "; expected a layer before this one"));
    return static_cast<int>(target);
}

Tree read_tree(const std::string& path, const std::string& where) {
    constexpr std::size_t kMaxTreeBytes = 16u << 20;
    std::istringstream stream(read_file(path, kMaxTreeBytes));
    Tree tree;
    std::string name;
    int parent = 0;
    while (stream >> name >> parent) {
        const int index = static_cast<int>(tree.parent.size());
        if (parent < -1 || parent >= index)
            throw Error(Status::cfg, text(path, ":", index + 1),
                        text("found parent ", parent, ", expected -1 or an earlier line (0 to ", index - 1, ")"));
        if (index == 0 || tree.parent.back() != parent) {
            tree.group_offset.push_back(index);
            tree.group_size.push_back(0);
        }
        ++tree.group_size.back();
        tree.parent.push_back(parent);
    }
    if (!stream.eof() || tree.parent.empty())
        throw Error(Status::cfg, text(path, ":", tree.parent.size() + 1),
                    text("expected lines \"name parent\", as the tree of ", where));
    return tree;
}

int window_out(const Node& node, int in, int padding, int size, int stride) {
    const long long room = static_cast<long long>(in) + padding - size;
    if (room < 0)
        shape_error(node, text("a window of ", size, " does not fit an input of ", in, " with a padding of ", padding));
    return static_cast<int>(room / stride + 1);
}

int blurred_out(const Node& node, int in, int antialiasing, int stride) {
    if (antialiasing == 0) return in;
    return antialiasing == 1 ? window_out(node, in, 2, 3, stride) : window_out(node, in, 0, 2, stride);
}

void read_strides(CfgOptions& options, int& stride_x, int& stride_y) {
    constexpr int kMaxStride = 1 << 12;
    const int stride = options.integer("stride", 1, 1, kMaxStride);
    stride_x = options.integer("stride_x", -1, -1, kMaxStride);
    stride_y = options.integer("stride_y", -1, -1, kMaxStride);
    if (stride_x < 1) stride_x = stride;
    if (stride_y < 1) stride_y = stride;
}

std::string describe_strides(int stride_x, int stride_y) {
    return stride_x == stride_y ? text(stride_x) : text(stride_x, "x", stride_y);
}

std::string describe_inputs(const Node& node, std::size_t first) {
    std::string out;
    for (std::size_t i = first; i < node.inputs.size(); ++i) out += text(out.empty() ? "" : ",", node.inputs[i]);
    return out;
}

bool always(const Node&) { return true; }

void fill_uniform(std::vector<float>& values, float mean, float radius, std::uint64_t stream) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = mean + radius * (2 * uniform(stream, i) - 1);
}

void fill_by_fan_in(std::vector<float>& values, std::size_t fan_in, std::uint64_t stream) {
    fill_uniform(values, 0, std::sqrt(2.0f / static_cast<float>(fan_in)), stream);
}

Shape checked_shape(const Node& node, long long c, long long h, long long w) {
    constexpr long long limit = std::numeric_limits<int>::max();
    if (c < 1 || h < 1 || w < 1 || c > limit || h > limit || w > limit || c > limit / h || c * h > limit / w)
        shape_error(node, text("its output would be ", w, " x ", h, " x ", c,
                               "; expected at least 1 x 1 x 1 and at most ", limit, " values"));
    return {static_cast<int>(c), static_cast<int>(h), static_cast<int>(w)};
}

std::size_t checked_count(const Node& node, std::initializer_list<std::size_t> factors) {
    constexpr std::size_t limit = std::numeric_limits<int>::max();
    std::size_t count = 1;
    for (std::size_t factor : factors) {
        if (factor == 0 || count > limit / factor)
            shape_error(node, text("one of its parameter arrays would not have 1 to ", limit, " values"));
        count *= factor;
    }
    return count;
}

void check_head_channels(const Graph& graph, const Node& head, int entries, int anchors, const char* formula) {
    const long long expected = static_cast<long long>(entries) * anchors;
    if (head.in.c == expected) return;
    const int producer = head.inputs[0];
    const bool convolution = producer >= 0 && graph.nodes[producer].kind == Kind::convolutional;
    throw Error(Status::cfg, convolution ? graph.nodes[producer].where + " filters" : head.where,
                text("found ", convolution ? "filters=" : "input channels ", head.in.c, ", expected (", formula, ") * ",
                     anchors, " = ", expected, " for the head at ", head.where));
}

void shape_error(const Node& node, const std::string& message) { throw Error(Status::cfg, node.where, message); }

}  // namespace dn
