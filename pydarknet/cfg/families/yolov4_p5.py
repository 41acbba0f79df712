# SPDX-License-Identifier: Apache-2.0
"""YOLOv4-P5: a deep CSP network for large images, four anchors at each of three levels.

Wang, Bochkovskiy, Liao: Scaled-YOLOv4, 2020, arXiv:2011.08036.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydarknet.cfg.families import yolov4_csp
from pydarknet.cfg.families.base import Drawing
from pydarknet.cfg.families.blocks import csp_plain, csp_pyramid, csp_stage, downward, upward


def draw(net: Drawing) -> None:
    """Three levels, strides 8 to 32."""
    levels(net, stages=((64, 1), (128, 3), (256, 15), (512, 15), (1024, 7)), neck=(128, 256, 512))


def levels(net: Drawing, stages: Sequence[tuple[int, int]], neck: Sequence[int]) -> None:
    """Any number of levels; the heads stand at the end of the file.

    Args:
        net: the drawing.
        stages: channels and residual blocks of every stage of the backbone.
        neck: channels of the levels of the neck, finest first; the last stages of the backbone feed them.
    """
    net.activation = "mish"
    net.comment("backbone")
    net.conv(32, 3)
    ends = [csp_stage(net, width, depth) for width, depth in stages]

    net.comment("neck: spatial pyramid pooling, top-down")
    maps = [csp_pyramid(net, neck[-1])]
    for filters, lateral in zip(reversed(neck[:-1]), reversed(ends[-len(neck) : -1]), strict=True):
        upward(net, filters, lateral)
        maps.insert(0, csp_plain(net, filters, 3))

    net.comment("neck: bottom-up")
    outputs = [maps[0]]
    for filters, lateral in zip(neck[1:], maps[1:], strict=True):
        downward(net, filters, lateral)
        outputs.append(csp_plain(net, filters, 3))

    net.comment("heads")
    for level, output in enumerate(outputs):
        net.route(output)
        net.conv(min(256 * 2**level, 1024), 3)
        net.head("logistic")


FAMILY = replace(
    yolov4_csp.FAMILY,
    name="yolov4-p5",
    size=896,
    anchors=(
        *((13, 17), (31, 25), (24, 51), (61, 45)),
        *((48, 102), (119, 96), (97, 189), (217, 184)),
        *((171, 384), (324, 451), (616, 618), (800, 800)),
    ),
    masks=((0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11)),
    head={**yolov4_csp.FAMILY.head, "max_delta": 2},
    draw=draw,
    pretrained=("yolov4-p5.conv.232", 232),
)
