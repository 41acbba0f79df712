// SPDX-License-Identifier: Apache-2.0
// [yolo]: the head of YOLOv3 to v7. One box for each anchor of `mask` in each cell.
#include <algorithm>
#include <numeric>

#include "../decode/decode.hpp"
#include "../error.hpp"
#include "../losses/loss.hpp"
#include "yolo_params.hpp"

namespace dn {
namespace {

// A published cfg has less `num` than anchors, and masks that use all of them: then those listed count.
void raise_num(CfgOptions& options, const std::vector<int>& mask, std::size_t listed, int& num) {
    const int highest = mask.empty() ? 0 : *std::max_element(mask.begin(), mask.end());
    if (highest < num || static_cast<std::size_t>(highest) >= listed || listed > kMaxAnchors) return;
    options.doubt("num", text("found ", num, ", but mask uses anchor ", highest, ", counted from 0, of the ", listed,
                              " listed; set num=", listed));
    num = static_cast<int>(listed);
}

std::vector<int> read_mask(CfgOptions& options, std::size_t listed, int& num) {
    std::vector<int> mask = options.integers("mask");
    raise_num(options, mask, listed, num);
    if (mask.empty()) {
        mask.resize(num);
        std::iota(mask.begin(), mask.end(), 0);
    }
    if (mask.size() > kMaxAnchors)
        options.fail("mask", text("found ", mask.size(), " entries, expected at most ", kMaxAnchors));
    for (int entry : mask)
        if (entry < 0 || entry >= num)
            options.fail("mask", text("found anchor ", entry, ", expected 0 to ", num - 1, " as num=", num, " says"));
    return mask;
}

void read_losses(CfgOptions& options, YoloParams& params) {
    params.iou_loss = parse_choice<IouKind>(options, "iou_loss", IouKind::mse,
                                            {{"mse", IouKind::mse},
                                             {"iou", IouKind::iou},
                                             {"giou", IouKind::giou},
                                             {"diou", IouKind::diou},
                                             {"ciou", IouKind::ciou}});
    params.iou_thresh_kind = parse_choice<IouKind>(
        options, "iou_thresh_kind", IouKind::iou,
        {{"iou", IouKind::iou}, {"giou", IouKind::giou}, {"diou", IouKind::diou}, {"ciou", IouKind::ciou}});
    params.ignore_thresh = options.real("ignore_thresh", params.ignore_thresh);
    params.truth_thresh = options.real("truth_thresh", params.truth_thresh);
    params.iou_thresh = options.real("iou_thresh", params.iou_thresh);
    params.iou_normalizer = options.real("iou_normalizer", params.iou_normalizer);
    params.obj_normalizer = options.real("obj_normalizer", params.obj_normalizer);
    params.cls_normalizer = options.real("cls_normalizer", params.cls_normalizer);
    params.delta_normalizer = options.real("delta_normalizer", params.delta_normalizer);
    params.max_delta = options.real("max_delta", params.max_delta);
    params.label_smooth_eps = options.real("label_smooth_eps", params.label_smooth_eps);
    params.objectness_smooth = options.flag("objectness_smooth");
    params.counters_per_class = options.integers("counters_per_class");
    if (!params.counters_per_class.empty() && params.counters_per_class.size() != std::size_t(params.classes))
        options.fail("counters_per_class", text("found ", params.counters_per_class.size(), " counts, expected ",
                                                params.classes, ", one for each class"));
}

void parse(CfgOptions& options, const Graph&, Node& node) {
    auto params = std::make_shared<YoloParams>();
    read_yolo(options, *params);
    params->new_coords = options.flag("new_coords");
    params->focal_loss = options.flag("focal_loss");
    params->nms.kind = parse_choice<NmsKind>(
        options, "nms_kind", NmsKind::standard,
        {{"default", NmsKind::standard}, {"greedynms", NmsKind::greedy}, {"diounms", NmsKind::diou}});
    constexpr int kNoEmbedding = 999999;  // Darknet's own way to say none
    const int embedding = options.integer("embedding_layer", kNoEmbedding);
    options.unsupported("embedding_layer", kNoEmbedding);
    if (embedding != kNoEmbedding)
        params->embedding_layer = resolve_reference(options, "embedding_layer", node, embedding);
    // Darknet's tracker over embeddings.
    options.unsupported("track_history_size", 5);
    options.unsupported("dets_for_track", 1);
    options.unsupported("dets_for_show", 1);
    options.unsupported("sim_thresh", 0.8f);
    options.unsupported("track_ciou_norm", 0.01f);
    options.accept({"show_details", "uc_normalizer", "beta1"});
    node.params = params;
}

std::string describe(const Node& node) {
    return text(node.as<YoloParams>().classes, " classes, ", node.as<YoloParams>().mask.size(), " anchors");
}

int classes(const Node& node) { return node.as<YoloParams>().classes; }
int entries(const Node& node) { return node.as<YoloParams>().entries(); }
NmsSettings nms(const Node& node) { return node.as<YoloParams>().nms; }

}  // namespace

void read_yolo(CfgOptions& options, YoloParams& params) {
    params.classes = options.integer("classes", params.classes, 1, kMaxClasses);
    params.num = options.integer("num", params.num, 1, kMaxAnchors);
    const std::size_t given = options.reals("anchors").size();
    params.mask = read_mask(options, given / 2, params.num);
    const std::size_t needed = 2 * (std::size_t{1} + *std::max_element(params.mask.begin(), params.mask.end()));
    if (given != 0 && given < needed)
        options.fail("anchors", text("found ", given, " values, expected ", 2 * params.num, " (num=", params.num,
                                     " pairs width,height)"));
    params.anchors = read_anchors(options, params.num);
    params.scale_x_y = options.real("scale_x_y", params.scale_x_y);
    params.nms.beta = options.real("beta_nms", params.nms.beta);
    options.unsupported("map");
    read_losses(options, params);
    accept_augmentation(options);
}

void infer_yolo(const Graph& graph, Node& node) {
    const auto& params = node.as<YoloParams>();
    const int anchors = static_cast<int>(params.mask.size());
    check_head_channels(graph, node, params.entries(), anchors, params.gaussian ? "classes + 9" : "classes + 5");
    if (params.embedding_layer >= 0) {
        const Shape shape = graph.shape_of(params.embedding_layer);
        if (shape.h != node.in.h || shape.w != node.in.w || shape.c % anchors != 0)
            shape_error(node, text("its embedding_layer is ", shape.w, " x ", shape.h, " x ", shape.c, ", expected ",
                                   node.in.w, " x ", node.in.h, " and a multiple of ", anchors, " channels"));
    }
    node.out = node.in;
}

void define_yolo(LayerDef& layer) {
    layer.head = layer.element_wise = layer.keeps_float = true;
    layer.describe = describe;
    layer.classes = classes;
    layer.entries = entries;
    layer.nms = nms;
    layer.decode = decode_yolo;
}

const LayerDef& layer_yolo() {
    static const LayerDef def = [] {
        LayerDef layer{Kind::yolo, "yolo", {"yolo"}, parse, infer_yolo};
        define_yolo(layer);
        layer.loss = anchor_loss;
        return layer;
    }();
    return def;
}

}  // namespace dn
