# SPDX-License-Identifier: Apache-2.0
"""YOLOv7: ELAN blocks and mixed downsampling, as deployed, that is with re-parameterized convolutions.

Wang, Bochkovskiy, Liao: YOLOv7, 2022, arXiv:2207.02696.
"""

from __future__ import annotations

from dataclasses import replace

from pydarknet.cfg.families import yolov4, yolov7_tiny
from pydarknet.cfg.families.base import Drawing
from pydarknet.cfg.families.blocks import upward


def elan(net: Drawing, inner: int, filters: int) -> int:
    """ELAN of the backbone: four 3×3 convolutions in a row, every second joined with both branches."""
    start = net.last
    bypass = net.conv(inner)
    net.route(start)
    branch = net.conv(inner)
    _, second, _, fourth = [net.conv(inner, 3) for _ in range(4)]
    net.route(fourth, second, branch, bypass)
    return net.conv(filters)


def elan_wide(net: Drawing, filters: int) -> int:
    """ELAN of the neck: all four 3×3 convolutions, at half width, joined with both branches."""
    start = net.last
    bypass = net.conv(filters)
    net.route(start)
    branch = net.conv(filters)
    chain = [net.conv(filters // 2, 3) for _ in range(4)]
    net.route(*reversed(chain), branch, bypass)
    return net.conv(filters)


def shrink(net: Drawing, filters: int, *lateral: int) -> int:
    """Downsampling by a pool and by a strided convolution side by side, joined with a lateral map."""
    start = net.last
    net.maxpool(2, 2)
    pooled = net.conv(filters)
    net.route(start)
    net.conv(filters)
    return net.route(net.conv(filters, 3, 2), pooled, *lateral)


def pyramid(net: Drawing, filters: int) -> int:
    """Spatial pyramid pooling inside a CSP block."""
    start = net.last
    bypass = net.conv(filters)
    net.route(start)
    net.conv(filters)
    net.conv(filters, 3)
    source = net.conv(filters)
    five = net.maxpool(5)
    net.route(source)
    nine = net.maxpool(9)
    net.route(source)
    net.route(source, five, nine, net.maxpool(13))
    net.route(net.pairs(1, filters, filters), bypass)
    return net.conv(filters)


def draw(net: Drawing) -> None:
    """Backbone of four ELAN blocks, a pyramid up and down, three heads at the end."""
    net.activation = "swish"
    net.comment("backbone")
    net.conv(32, 3)
    net.conv(64, 3, 2)
    net.conv(64, 3)
    net.conv(128, 3, 2)
    elan(net, 64, 256)
    shrink(net, 128)
    fine = elan(net, 128, 512)
    shrink(net, 256)
    middle = elan(net, 256, 1024)
    shrink(net, 512)
    elan(net, 256, 1024)

    net.comment("neck")
    coarse = pyramid(net, 512)
    upward(net, 256, middle)
    middle = elan_wide(net, 256)
    upward(net, 128, fine)
    outputs = [elan_wide(net, 128)]
    shrink(net, 128, middle)
    outputs.append(elan_wide(net, 256))
    shrink(net, 256, coarse)
    outputs.append(elan_wide(net, 512))

    net.comment("heads")
    for output, filters in zip(outputs, (256, 512, 1024), strict=True):
        net.route(output)
        net.conv(filters, 3)
        net.head("logistic")


FAMILY = replace(
    yolov7_tiny.FAMILY,
    name="yolov7",
    size=640,
    anchors=yolov4.FAMILY.anchors,
    momentum=0.9,
    learning_rate=0.001,
    subdivisions=8,
    draw=draw,
    pretrained=("yolov7.conv.132", 132),
)
