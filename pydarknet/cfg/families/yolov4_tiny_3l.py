# SPDX-License-Identifier: Apache-2.0
"""YOLOv4-tiny with a third head at stride 8, for small objects."""

from __future__ import annotations

from dataclasses import replace

from pydarknet.cfg.families import yolov4, yolov4_tiny
from pydarknet.cfg.families.base import Drawing


def draw(net: Drawing) -> None:
    """As YOLOv4-tiny, one step further down to stride 8."""
    eighth, last = yolov4_tiny.two_heads(net)
    net.route(last)
    net.conv(64)
    net.route(net.upsample(), eighth)
    net.conv(128, 3)
    net.head()


FAMILY = replace(
    yolov4_tiny.FAMILY,
    name="yolov4-tiny-3l",
    size=608,
    anchors=yolov4.FAMILY.anchors,
    masks=((6, 7, 8), (3, 4, 5), (0, 1, 2)),
    head_strides=(32, 16, 8),
    draw=draw,
)
