# SPDX-License-Identifier: Apache-2.0
"""YOLOv4x-mish: YOLOv4-CSP a quarter wider and deeper (arXiv:2011.08036).

The published file also freezes the layers below the heads for 800 iterations (``stopbackward=800``);
set it when starting from pre-trained weights.
"""

from __future__ import annotations

from dataclasses import replace

from pydarknet.cfg.families import yolov4_csp
from pydarknet.cfg.families.base import Drawing


def draw(net: Drawing) -> None:
    """The plan of YOLOv4-CSP with more of everything."""
    yolov4_csp.scaled(net, widths=(80, 160, 320, 640, 1280), depths=(1, 3, 10, 10, 5), pairs=3)


FAMILY = replace(
    yolov4_csp.FAMILY,
    name="yolov4x-mish",
    size=640,
    draw=draw,
    pretrained=("yolov4x-mish.conv.166", 166),
)
