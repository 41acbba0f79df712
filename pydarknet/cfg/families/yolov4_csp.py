# SPDX-License-Identifier: Apache-2.0
"""YOLOv4-CSP: YOLOv4 with CSP blocks in the neck too and heads of the new kind.

Wang, Bochkovskiy, Liao: Scaled-YOLOv4, 2020, arXiv:2011.08036.

The published file also sets ``mosaic=1``; Darknet refuses to train with that and ``letter_box=1`` together,
and ``letter_box`` is needed to use the published weights.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydarknet.cfg.families import yolov4
from pydarknet.cfg.families.base import Drawing, Family
from pydarknet.cfg.families.blocks import csp_plain, csp_pyramid, csp_stage, downward, upward


def draw(net: Drawing) -> None:
    """The network of the paper's figure."""
    scaled(net, widths=(64, 128, 256, 512, 1024), depths=(1, 2, 8, 8, 4), pairs=2)


def scaled(net: Drawing, widths: Sequence[int], depths: Sequence[int], pairs: int) -> None:
    """The same plan at any width and depth.

    Args:
        net: the drawing.
        widths: channels of the five stages.
        depths: residual blocks of the five stages.
        pairs: convolution pairs in each CSP block of the neck.
    """
    net.activation = "mish"
    net.comment("backbone")
    net.conv(32, 3)
    net.conv(widths[0], 3, 2)
    net.residuals(depths[0], widths[0] // 2, widths[0])
    stages = [csp_stage(net, width, depth) for width, depth in zip(widths[1:], depths[1:], strict=True)]

    half, quarter, eighth = (widths[4] // divisor for divisor in (2, 4, 8))
    net.comment("neck: spatial pyramid pooling, top-down")
    coarse = csp_pyramid(net, half, pairs - 1)
    upward(net, quarter, stages[2])
    middle = csp_plain(net, quarter, pairs)
    upward(net, eighth, stages[1])
    branch = csp_plain(net, eighth, pairs)

    net.comment("heads, bottom-up")
    net.conv(quarter, 3)
    net.head("logistic", objectness_smooth=0, obj_normalizer=4.0)
    for filters, lateral, more in (
        (quarter, middle, {}),
        (half, coarse, {"obj_normalizer": 0.4, "max_delta": 2}),
    ):
        net.route(branch)
        downward(net, filters, lateral)
        branch = csp_plain(net, filters, pairs)
        net.conv(2 * filters, 3)
        net.head("logistic", **more)


FAMILY = Family(
    name="yolov4-csp",
    source="Wang, Bochkovskiy, Liao: Scaled-YOLOv4, arXiv:2011.08036",
    size=512,
    anchors=yolov4.FAMILY.anchors,
    masks=yolov4.FAMILY.masks,
    head_strides=yolov4.FAMILY.head_strides,
    momentum=0.949,
    learning_rate=0.001,
    subdivisions=8,
    net={"letter_box": 1, "ema_alpha": 0.9998},
    head={
        "jitter": 0.1,
        "scale_x_y": 2.0,
        "objectness_smooth": 1,
        "ignore_thresh": 0.7,
        "truth_thresh": 1,
        "resize": 1.5,
        "iou_thresh": 0.2,
        "iou_normalizer": 0.05,
        "cls_normalizer": 0.5,
        "obj_normalizer": 1.0,
        "iou_loss": "ciou",
        "nms_kind": "diounms",
        "beta_nms": 0.6,
        "new_coords": 1,
        "max_delta": 5,
    },
    draw=draw,
    pretrained=("yolov4-csp.conv.142", 142),
)
