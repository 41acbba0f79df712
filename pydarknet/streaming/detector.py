# SPDX-License-Identifier: Apache-2.0
"""Build one detect function from a network and options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from pydarknet.engine.detections import Detections
from pydarknet.engine.selection import Classes, Selection
from pydarknet.streaming.tiling import Tiles

#: Returns the Detections of each image of a list.
Detect: TypeAlias = Callable[[list[Any]], list[Detections]]


class Detector(Protocol):
    """The part of a network that detection uses: ``Network.detect`` for lists of images."""

    def detect(self, image: list[Any], thresh: float, nms: float, letterbox: bool | None) -> list[Detections]:
        """Detect objects in each image."""


def make_detector(
    net: Detector,
    *,
    thresh: float = 0.25,
    nms: float = 0.45,
    letterbox: bool | None = None,
    classes: Classes | None = None,
    max_det: int | None = None,
    agnostic: bool = False,
    tile: int | tuple[int, int] | None = None,
    overlap: float = 0.2,
) -> Detect:
    """Build the function from images to Detections; the options are those of :func:`pydarknet.stream`.

    Raises:
        ArgumentError: a class is unknown, or a number, tile or overlap is out of range.
    """
    select = Selection.of(getattr(net, "names", ()), nms, classes, agnostic, max_det)
    nms_inside = select.engine_nms if tile is None else nms  # pieces of tiles are joined class by class

    def detect(images: list[Any]) -> list[Detections]:
        return net.detect(images, thresh, nms_inside, letterbox)

    find = detect if tile is None else Tiles(detect, tile, overlap, nms)
    return lambda images: [select(found) for found in find(images)]
