# SPDX-License-Identifier: Apache-2.0
"""YOLOv3: Darknet-53 and a feature pyramid (Redmon and Farhadi, 2018, arXiv:1804.02767)."""

from __future__ import annotations

from pydarknet.cfg.families.base import Drawing, Family
from pydarknet.cfg.families.blocks import darknet53


def draw(net: Drawing) -> None:
    """Backbone, then three heads from coarse to fine."""
    _, _, fine, middle, _ = darknet53(net)
    net.comment("neck and heads")
    net.pairs(2, 512, 1024)
    pyramid(net, fine, middle)


def pyramid(net: Drawing, fine: int, middle: int) -> None:
    """The last convolutions of the coarse level and the two finer levels."""
    branch = net.conv(512)
    net.conv(1024, 3)
    net.head()
    for filters, lateral in ((256, middle), (128, fine)):
        net.route(branch)
        net.conv(filters)
        net.route(net.upsample(), lateral)
        net.pairs(2, filters, 2 * filters)
        branch = net.conv(filters)
        net.conv(2 * filters, 3)
        net.head()


FAMILY = Family(
    name="yolov3",
    source="Redmon, Farhadi: YOLOv3, arXiv:1804.02767",
    size=416,
    anchors=((10, 13), (16, 30), (33, 23), (30, 61), (62, 45), (59, 119), (116, 90), (156, 198), (373, 326)),
    masks=((6, 7, 8), (3, 4, 5), (0, 1, 2)),
    head_strides=(32, 16, 8),
    momentum=0.9,
    learning_rate=0.001,
    subdivisions=16,
    head={"jitter": 0.3, "ignore_thresh": 0.7, "truth_thresh": 1, "random": 1},
    draw=draw,
    pretrained=("darknet53.conv.74", 74),
)
