// SPDX-License-Identifier: Apache-2.0
// [convolutional]: cross-correlation with square kernels, batch-norm, activation.
#include "layer.hpp"

#include "../error.hpp"

namespace dn {
namespace {

void parse(CfgOptions& options, const Graph& graph, Node& node) {
    auto params = std::make_shared<ConvolutionalParams>();
    params->filters = options.integer("filters", 1, 1, 1 << 20);
    params->size = options.integer("size", 1, 1, 1 << 12);
    read_strides(options, params->stride_x, params->stride_y);
    params->padding = options.integer("padding", 0, 0, 1 << 12);
    if (options.flag("pad")) params->padding = params->size / 2;
    params->dilation = options.integer("dilation", 1, 1, 1 << 12);
    if (params->size == 1) params->dilation = 1;
    params->groups = std::max(1, options.integer("groups", 1, 0, 1 << 24));
    params->activation = parse_activation(options, "activation", Activation::logistic);
    params->batch_normalize = options.flag("batch_normalize") || options.flag("cbn");
    params->antialiasing = options.integer("antialiasing", 0, 0, 2);
    params->flipped = options.flag("flipped");
    if (options.flag("xnor") || options.flag("binary"))
        options.fail(options.has("xnor") ? "xnor" : "binary", "binary weights are not supported; expected 0");
    if (options.has("share_index")) {
        node.share_index = resolve_reference(options, "share_index", node, options.integer("share_index", 0));
        if (graph.nodes[node.share_index].kind != Kind::convolutional)
            options.fail("share_index", text("layer ", node.share_index, " is not a convolutional layer"));
        // A chain of shares ends at the layer that owns the weights.
        const int owner = graph.nodes[node.share_index].share_index;
        if (owner >= 0) node.share_index = owner;
    }
    // Experiments of Darknet's training; bin_output needs xnor, angle needs rotate or sway.
    options.unsupported("angle", 15);
    options.unsupported({"bin_output", "assisted_excitation", "rotate", "stretch", "sway", "stretch_sway", "grad_centr",
                         "reverse", "coordconv"});
    options.accept({"dot", "stream", "wait_stream"});
    node.params = params;
}

void check_shared(const Graph& graph, const Node& node, const ConvolutionalParams& params) {
    const Node& owner = graph.nodes[node.share_index];
    const auto& other = owner.as<ConvolutionalParams>();
    if (other.filters != params.filters || other.size != params.size || other.groups != params.groups ||
        owner.in.c != node.in.c || other.batch_normalize != params.batch_normalize)
        shape_error(node, text("shares the weights of layer ", node.share_index,
                               ", so size, filters, groups, batch_normalize and input channels must be equal"));
}

void infer(const Graph& graph, Node& node) {
    const auto& params = node.as<ConvolutionalParams>();
    if (node.in.c % params.groups != 0 || params.filters % params.groups != 0)
        shape_error(node, text("groups=", params.groups, " must divide both the ", node.in.c,
                               " input channels and the ", params.filters, " filters"));
    // With antialiasing the strides belong to the blur that follows.
    const bool blurred = params.antialiasing != 0;
    const int w = window_out(node, node.in.w, 2 * params.padding, params.size, blurred ? 1 : params.stride_x);
    const int h = window_out(node, node.in.h, 2 * params.padding, params.size, blurred ? 1 : params.stride_y);
    checked_shape(node, params.filters, h, w);
    node.out = checked_shape(node, params.filters, blurred_out(node, h, params.antialiasing, params.stride_y),
                             blurred_out(node, w, params.antialiasing, params.stride_x));

    const std::size_t n = params.filters, side = params.size;
    const std::size_t weights = checked_count(node, {n, std::size_t(node.in.c / params.groups), side, side});
    const Shape unfolded = unfolded_shape(params, node.in);
    if (unfolded.h < h || unfolded.w < w)
        shape_error(node, text("padding=", params.padding, " is too little for size=", params.size,
                               " with dilation=", params.dilation, "; expected size / 2"));
    node.flops = 2.0 * weights * h * w;
    node.arrays.clear();
    if (node.share_index >= 0) return check_shared(graph, node, params);
    node.arrays.push_back({Role::biases, n});
    if (params.batch_normalize) {
        node.arrays.push_back({Role::scales, n});
        node.arrays.push_back({Role::means, n});
        node.arrays.push_back({Role::variances, n});
    }
    node.arrays.push_back({Role::weights, weights});
}

std::string describe(const Node& node) {
    const auto& p = node.as<ConvolutionalParams>();
    return text(p.filters, " ", p.size, "x", p.size, "/", describe_strides(p.stride_x, p.stride_y),
                p.dilation > 1 ? text(" dilation ", p.dilation) : "", p.groups > 1 ? text(" groups ", p.groups) : "",
                node.share_index >= 0 ? text(" shares ", node.share_index) : "", " ", activation_name(p.activation));
}

void initial_weights(const Node& node, std::vector<float>& weights, std::uint64_t stream) {
    fill_by_fan_in(weights, weights.size() / node.out.c, stream);
}

bool transposed(const Node& node, bool) { return node.as<ConvolutionalParams>().flipped; }

}  // namespace

Shape unfolded_shape(const ConvolutionalParams& params, Shape in) {
    const long long reach = 1LL * params.dilation * (params.size - 1), padding = 2LL * params.padding * params.dilation;
    const bool blurred = params.antialiasing != 0;
    const auto side = [&](int length, int stride) {
        const long long room = length + padding - reach - 1;
        return room < 0 ? 0 : static_cast<int>(room / (blurred ? 1 : stride) + 1);
    };
    return {in.c / params.groups * params.size * params.size, side(in.h, params.stride_y), side(in.w, params.stride_x)};
}

bool counts_windows(const ConvolutionalParams& params, Shape in, Shape out) {
    const Shape unfolded = unfolded_shape(params, in);
    return unfolded.h == out.h && unfolded.w == out.w;
}

const LayerDef& layer_convolutional() {
    static const LayerDef def = [] {
        LayerDef layer{Kind::convolutional, "convolutional", {"convolutional", "conv"}, parse, infer};
        layer.describe = describe;
        layer.initial_weights = initial_weights;
        layer.transposed = transposed;
        return layer;
    }();
    return def;
}

}  // namespace dn
