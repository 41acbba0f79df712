# SPDX-License-Identifier: Apache-2.0
"""Blocks that several families share: cross-stage partial (CSP) stages, pyramids, their necks."""

from __future__ import annotations

from pydarknet.cfg.families.base import Drawing


def csp_stage(net: Drawing, filters: int, count: int, half: int = 0, inner: int = 0) -> int:
    """Downsampling and a CSP stage: half of the channels pass by ``count`` residual blocks.

    Args:
        net: the drawing.
        filters: channels at the end.
        count: residual blocks.
        half: channels of each branch; half of ``filters`` if 0.
        inner: channels inside a residual block; ``half`` if 0.
    """
    half = half or filters // 2
    start = net.conv(filters, 3, 2)
    bypass = net.conv(half)
    net.route(start)
    net.conv(half)
    net.residuals(count, inner or half, half)
    net.route(net.conv(half), bypass)
    return net.conv(filters)


def csp_pyramid(net: Drawing, filters: int, pairs: int = 1) -> int:
    """Spatial pyramid pooling inside a CSP block, ``pairs`` of convolutions behind it."""
    start = net.last
    bypass = net.conv(filters)
    net.route(start)
    net.conv(filters)
    net.conv(filters, 3)
    net.conv(filters)
    net.spp()
    net.route(net.pairs(pairs, filters, filters), bypass)
    return net.conv(filters)


def csp_plain(net: Drawing, filters: int, pairs: int) -> int:
    """CSP block without residual connections."""
    start = net.conv(filters)
    bypass = net.conv(filters)
    net.route(start)
    net.route(net.pairs(pairs, filters, filters), bypass)
    return net.conv(filters)


def upward(net: Drawing, filters: int, lateral: int) -> int:
    """Top-down step of the pyramid: enlarge, and put the backbone's map of that size in front."""
    net.conv(filters)
    top = net.upsample()
    net.route(lateral)
    return net.route(net.conv(filters), top)


def downward(net: Drawing, filters: int, lateral: int) -> int:
    """Bottom-up step of the pyramid: shrink, and append the top-down map of that size."""
    return net.route(net.conv(filters, 3, 2), lateral)


def darknet53(net: Drawing) -> list[int]:
    """Backbone of YOLOv3; the last layer of each of its five stages."""
    net.conv(32, 3)
    ends = []
    for filters, count in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        net.conv(filters, 3, 2)
        ends.append(net.residuals(count, filters // 2, filters))
    return ends


def csp_tiny(net: Drawing) -> list[int]:
    """Backbone of YOLOv4-tiny; the layers at stride 8 and 16 that the pyramid uses, and the last one."""
    net.conv(32, 3, 2)
    net.conv(64, 3, 2)
    taps = []
    for filters in (64, 128, 256):
        whole = net.conv(filters, 3)
        net.route(whole, groups=2, group_id=1)
        first = net.conv(filters // 2, 3)
        net.route(net.conv(filters // 2, 3), first)
        taps.append(net.conv(filters))
        net.route(whole, taps[-1])
        net.maxpool(2, 2)
    taps.append(net.conv(512, 3))
    return taps[1:]
