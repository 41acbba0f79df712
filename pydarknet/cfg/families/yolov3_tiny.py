# SPDX-License-Identifier: Apache-2.0
"""YOLOv3-tiny: seven convolutions, pools between them, two heads (Redmon, 2018)."""

from __future__ import annotations

from pydarknet.cfg.families.base import Drawing, Family


def draw(net: Drawing) -> None:
    """A plain stack, then a coarse and a fine head."""
    lateral = 0
    for filters in (16, 32, 64, 128, 256):
        lateral = net.conv(filters, 3)
        net.maxpool(2, 2)
    net.conv(512, 3)
    net.maxpool(2, 1)
    net.conv(1024, 3)

    net.comment("heads")
    branch = net.conv(256)
    net.conv(512, 3)
    net.head()
    net.route(branch)
    net.conv(128)
    net.route(net.upsample(), lateral)
    net.conv(256, 3)
    net.head()


FAMILY = Family(
    name="yolov3-tiny",
    source="Redmon: yolov3-tiny, 2018",
    size=416,
    anchors=((10, 14), (23, 27), (37, 58), (81, 82), (135, 169), (344, 319)),
    masks=((3, 4, 5), (0, 1, 2)),
    head_strides=(32, 16),
    momentum=0.9,
    learning_rate=0.001,
    subdivisions=2,
    head={"jitter": 0.3, "ignore_thresh": 0.7, "truth_thresh": 1, "random": 1},
    draw=draw,
    pretrained=("yolov3-tiny.conv.11", 11),
)
