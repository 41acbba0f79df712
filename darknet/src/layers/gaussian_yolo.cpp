// SPDX-License-Identifier: Apache-2.0
// [Gaussian_yolo]: a [yolo] head that also says how sure it is of each coordinate.
#include "../losses/loss.hpp"
#include "yolo_params.hpp"

namespace dn {
namespace {

void parse(CfgOptions& options, const Graph&, Node& node) {
    auto params = std::make_shared<YoloParams>();
    params->gaussian = true;
    read_yolo(options, *params);
    params->uc_normalizer = options.real("uc_normalizer", params->uc_normalizer);
    params->nms.kind = parse_choice<NmsKind>(options, "nms_kind", NmsKind::standard,
                                             {{"default", NmsKind::standard},
                                              {"greedynms", NmsKind::greedy},
                                              {"diounms", NmsKind::diou},
                                              {"cornersnms", NmsKind::corners}});
    params->point = parse_choice<YoloPoint>(
        options, "yolo_point", YoloPoint::center,
        {{"center", YoloPoint::center}, {"left_top", YoloPoint::left_top}, {"right_bottom", YoloPoint::right_bottom}});
    node.params = params;
}

}  // namespace

const LayerDef& layer_gaussian_yolo() {
    static const LayerDef def = [] {
        LayerDef layer{Kind::gaussian_yolo, "gaussian_yolo", {"Gaussian_yolo"}, parse, infer_yolo};
        define_yolo(layer);
        layer.loss = anchor_loss;
        return layer;
    }();
    return def;
}

}  // namespace dn
