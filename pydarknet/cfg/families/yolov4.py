# SPDX-License-Identifier: Apache-2.0
"""YOLOv4: CSPDarknet-53, SPP and a path aggregation network.

Bochkovskiy, Wang, Liao: YOLOv4, 2020, arXiv:2004.10934.
"""

from __future__ import annotations

from pydarknet.cfg.families.base import Drawing, Family
from pydarknet.cfg.families.blocks import csp_stage, downward, upward


def draw(net: Drawing) -> None:
    """Backbone with Mish, neck and heads with leaky ReLU."""
    net.comment("backbone: CSPDarknet-53")
    net.activation = "mish"
    net.conv(32, 3)
    csp_stage(net, 64, 1, half=64, inner=32)
    csp_stage(net, 128, 2)
    fine = csp_stage(net, 256, 8)
    middle = csp_stage(net, 512, 8)
    csp_stage(net, 1024, 4)

    net.comment("neck: spatial pyramid pooling")
    net.activation = "leaky"
    net.pairs(1, 512, 1024)
    net.conv(512)
    net.spp()
    net.pairs(1, 512, 1024)
    coarse = net.conv(512)

    net.comment("neck: top-down")
    upward(net, 256, middle)
    net.pairs(2, 256, 512)
    middle = net.conv(256)
    upward(net, 128, fine)
    net.pairs(2, 128, 256)
    branch = net.conv(128)

    net.comment("heads, bottom-up")
    net.conv(256, 3)
    net.head(scale_x_y=1.2)
    for filters, lateral, stretch, random in ((256, middle, 1.1, 0), (512, coarse, 1.05, 1)):
        net.route(branch)
        downward(net, filters, lateral)
        net.pairs(2, filters, 2 * filters)
        branch = net.conv(filters)
        net.conv(2 * filters, 3)
        net.head(scale_x_y=stretch, random=random)


FAMILY = Family(
    name="yolov4",
    source="Bochkovskiy, Wang, Liao: YOLOv4, arXiv:2004.10934",
    size=608,
    anchors=((12, 16), (19, 36), (40, 28), (36, 75), (76, 55), (72, 146), (142, 110), (192, 243), (459, 401)),
    masks=((0, 1, 2), (3, 4, 5), (6, 7, 8)),
    head_strides=(8, 16, 32),
    momentum=0.949,
    learning_rate=0.0013,
    subdivisions=8,
    net={"mosaic": 1},
    head={
        "jitter": 0.3,
        "ignore_thresh": 0.7,
        "truth_thresh": 1,
        "iou_thresh": 0.213,
        "cls_normalizer": 1.0,
        "iou_normalizer": 0.07,
        "iou_loss": "ciou",
        "nms_kind": "greedynms",
        "beta_nms": 0.6,
        "max_delta": 5,
    },
    draw=draw,
    pretrained=("yolov4.conv.137", 137),
)
