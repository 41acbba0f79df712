# SPDX-License-Identifier: Apache-2.0
"""YOLOv3-SPP: YOLOv3 with spatial pyramid pooling behind the backbone (Redmon, 2018)."""

from __future__ import annotations

from dataclasses import replace

from pydarknet.cfg.families import yolov3
from pydarknet.cfg.families.base import Drawing
from pydarknet.cfg.families.blocks import darknet53


def draw(net: Drawing) -> None:
    """As YOLOv3, with the pyramid of pools between the first convolutions of the neck."""
    _, _, fine, middle, _ = darknet53(net)
    net.comment("neck and heads")
    net.pairs(1, 512, 1024)
    net.conv(512)
    net.spp()
    net.pairs(1, 512, 1024)
    yolov3.pyramid(net, fine, middle)


FAMILY = replace(yolov3.FAMILY, name="yolov3-spp", size=608, draw=draw)
