# SPDX-License-Identifier: Apache-2.0
"""Build one detect function from a network and options."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np

from pydarknet.engine.detections import Detections
from pydarknet.errors import ArgumentError
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
    classes: Iterable[str | int] | None = None,
    tile: int | tuple[int, int] | None = None,
    overlap: float = 0.2,
) -> Detect:
    """Build the function from images to Detections; the options are those of :func:`pydarknet.stream`.

    Raises:
        ArgumentError: a class is unknown, or a tile or overlap is out of range.
    """

    def detect(images: list[Any]) -> list[Detections]:
        return net.detect(images, thresh, nms, letterbox)

    all_classes = detect if tile is None else Tiles(detect, tile, overlap, nms)
    if classes is None:
        return all_classes
    ids = sorted(class_ids(classes, getattr(net, "names", ())))
    return lambda images: [found[np.isin(found.class_id, ids)] for found in all_classes(images)]


def class_ids(classes: Iterable[str | int], names: Sequence[str]) -> frozenset[int]:
    """Ids of classes given by name or id.

    Raises:
        ArgumentError: the network has no such class; the message suggests a similar one.
    """
    found = set()
    for wanted in classes:
        text = str(wanted).strip()
        if text in names:
            found.add(names.index(text))
        elif text.isdigit() and (not names or int(text) < len(names)):
            found.add(int(text))
        else:
            close = difflib.get_close_matches(text, names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {len(names)} classes"
            raise ArgumentError(f"found class {text!r}, which the network does not have; {hint}")
    return frozenset(found)
