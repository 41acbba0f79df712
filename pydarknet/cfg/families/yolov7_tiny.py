# SPDX-License-Identifier: Apache-2.0
"""YOLOv7-tiny: short ELAN blocks with leaky ReLU (Wang, Bochkovskiy, Liao, 2022, arXiv:2207.02696)."""

from __future__ import annotations

from pydarknet.cfg.families import yolov4_csp
from pydarknet.cfg.families.base import Drawing, Family
from pydarknet.cfg.families.blocks import downward, upward


def elan(net: Drawing, inner: int, filters: int) -> int:
    """Efficient layer aggregation: two branches, one of them deepened twice, all four joined."""
    start = net.last
    bypass = net.conv(inner)
    net.route(start)
    branch = net.conv(inner)
    first = net.conv(inner, 3)
    net.route(bypass, branch, first, net.conv(inner, 3))
    return net.conv(filters)


def pyramid(net: Drawing, filters: int) -> int:
    """Spatial pyramid pooling with a bypass."""
    start = net.last
    bypass = net.conv(filters)
    net.route(start)
    net.conv(filters)
    net.spp()
    net.route(bypass, net.conv(filters))
    return net.conv(filters)


def draw(net: Drawing) -> None:
    """Backbone of four ELAN blocks, a pyramid up and down, three heads at the end."""
    net.comment("backbone")
    net.conv(32, 3, 2)
    net.conv(64, 3, 2)
    elan(net, 32, 64)
    net.maxpool(2, 2)
    fine = elan(net, 64, 128)
    net.maxpool(2, 2)
    middle = elan(net, 128, 256)
    net.maxpool(2, 2)
    elan(net, 256, 512)

    net.comment("neck")
    coarse = pyramid(net, 256)
    upward(net, 128, middle)
    middle = elan(net, 64, 128)
    upward(net, 64, fine)
    outputs = [elan(net, 32, 64)]
    downward(net, 128, middle)
    outputs.append(elan(net, 64, 128))
    downward(net, 256, coarse)
    outputs.append(elan(net, 128, 256))

    net.comment("heads")
    for output, filters in zip(outputs, (128, 256, 512), strict=True):
        net.route(output)
        net.conv(filters, 3)
        net.head("logistic")


FAMILY = Family(
    name="yolov7-tiny",
    source="Wang, Bochkovskiy, Liao: YOLOv7, arXiv:2207.02696",
    size=416,
    anchors=((10, 13), (16, 30), (33, 23), (30, 61), (62, 45), (59, 119), (116, 90), (156, 198), (373, 326)),
    masks=((0, 1, 2), (3, 4, 5), (6, 7, 8)),
    head_strides=(8, 16, 32),
    momentum=0.9,
    learning_rate=0.00261,
    subdivisions=1,
    head={**yolov4_csp.FAMILY.head, "max_delta": 2},
    draw=draw,
    pretrained=("yolov7-tiny.conv.87", 87),
)
