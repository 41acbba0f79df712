// SPDX-License-Identifier: Apache-2.0
// [crop]: the middle of the input, scaled from 0..1 to -1..1 unless noadjust is set.
#include "layer.hpp"

#include "../error.hpp"

namespace dn {
namespace {

void parse(CfgOptions& options, const Graph&, Node& node) {
    auto params = std::make_shared<CropParams>();
    params->crop_height = options.integer("crop_height", 1, 1, 1 << 20);
    params->crop_width = options.integer("crop_width", 1, 1, 1 << 20);
    params->noadjust = options.flag("noadjust");
    // Augmentation of Darknet's first networks; training augments before the network instead.
    options.unsupported({"flip", "angle", "shift"});
    options.unsupported("saturation", 1);
    options.unsupported("exposure", 1);
    node.params = params;
}

void infer(const Graph&, Node& node) {
    const auto& params = node.as<CropParams>();
    if (params.crop_height > node.in.h || params.crop_width > node.in.w)
        shape_error(node, text("a crop of ", params.crop_width, " x ", params.crop_height, " does not fit an input of ",
                               node.in.w, " x ", node.in.h));
    node.out = {node.in.c, params.crop_height, params.crop_width};
}

}  // namespace

const LayerDef& layer_crop() {
    static const LayerDef def{Kind::crop, "crop", {"crop"}, parse, infer};
    return def;
}

}  // namespace dn
