# SPDX-License-Identifier: Apache-2.0
"""YOLOv4-tiny: a small CSP backbone and two heads (Wang, Bochkovskiy, Liao, 2020, arXiv:2011.08036)."""

from __future__ import annotations

from pydarknet.cfg.families.base import Drawing, Family
from pydarknet.cfg.families.blocks import csp_tiny


def draw(net: Drawing) -> None:
    """Backbone, a coarse head, and a finer one."""
    two_heads(net)


def two_heads(net: Drawing) -> tuple[int, int]:
    """The layers at stride 8 (backbone) and 16 (last convolution) that a third head starts from."""
    net.comment("backbone")
    eighth, sixteenth, _ = csp_tiny(net)
    net.comment("heads")
    branch = net.conv(256)
    net.conv(512, 3)
    net.head()
    net.route(branch)
    net.conv(128)
    net.route(net.upsample(), sixteenth)
    last = net.conv(256, 3)
    net.head()
    return eighth, last


FAMILY = Family(
    name="yolov4-tiny",
    source="Wang, Bochkovskiy, Liao: Scaled-YOLOv4, arXiv:2011.08036",
    size=416,
    anchors=((10, 14), (23, 27), (37, 58), (81, 82), (135, 169), (344, 319)),
    masks=((3, 4, 5), (1, 2, 3)),
    head_strides=(32, 16),
    momentum=0.9,
    learning_rate=0.00261,
    subdivisions=1,
    head={
        "jitter": 0.3,
        "scale_x_y": 1.05,
        "cls_normalizer": 1.0,
        "iou_normalizer": 0.07,
        "iou_loss": "ciou",
        "ignore_thresh": 0.7,
        "truth_thresh": 1,
        "random": 0,
        "resize": 1.5,
        "nms_kind": "greedynms",
        "beta_nms": 0.6,
    },
    draw=draw,
    pretrained=("yolov4-tiny.conv.29", 29),
)
