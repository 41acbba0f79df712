// SPDX-License-Identifier: Apache-2.0
#include "describe.hpp"

#include "../error.hpp"
#include "../layers/layer.hpp"

namespace dn {
namespace {

std::string strides(int x, int y) { return x == y ? text(x) : text(x, "x", y); }

std::string sources(const Node& node, std::size_t first) {
    std::string out;
    for (std::size_t i = first; i < node.inputs.size(); ++i) out += text(out.empty() ? "" : ",", node.inputs[i]);
    return out;
}

std::string describe_convolution(const ConvolutionalParams& p) {
    return text(p.filters, " ", p.size, "x", p.size, "/", strides(p.stride_x, p.stride_y),
                p.dilation > 1 ? text(" dilation ", p.dilation) : "", p.groups > 1 ? text(" groups ", p.groups) : "",
                p.share_index >= 0 ? text(" shares ", p.share_index) : "", " ", activation_name(p.activation));
}

std::string describe_pool(const PoolParams& p) {
    if (p.depth) return text("depth ", p.out_channels);
    return text(p.size, "x", p.size, "/", strides(p.stride_x, p.stride_y));
}

}  // namespace

const char* kind_name(Kind kind) { return layer_def(kind).name; }

std::string describe(const Node& node) {
    switch (node.kind) {
        case Kind::convolutional:
            return describe_convolution(node.as<ConvolutionalParams>());
        case Kind::maxpool:
        case Kind::local_avgpool:
            return describe_pool(node.as<PoolParams>());
        case Kind::route: {
            const auto& p = node.as<RouteParams>();
            return sources(node, 0) + (p.groups > 1 ? text(" part ", p.group_id, "/", p.groups) : "");
        }
        case Kind::shortcut:
            return text("+ ", sources(node, 1), " ", activation_name(node.as<ShortcutParams>().activation));
        case Kind::sam:
        case Kind::scale_channels:
            return text("x ", sources(node, 1));
        case Kind::upsample:
            return text("x", node.as<UpsampleParams>().stride);
        case Kind::reorg:
        case Kind::reorg3d:
            return text("/", node.as<ReorgParams>().stride);
        case Kind::connected:
            return text(node.as<ConnectedParams>().output, " ", activation_name(node.as<ConnectedParams>().activation));
        case Kind::activation:
            return activation_name(node.as<ActivationParams>().activation);
        case Kind::yolo:
        case Kind::gaussian_yolo:
            return text(node.as<YoloParams>().classes, " classes, ", node.as<YoloParams>().mask.size(), " anchors");
        case Kind::region:
            return text(node.as<RegionParams>().classes, " classes, ", node.as<RegionParams>().num, " anchors");
        default:
            return "";
    }
}

}  // namespace dn
