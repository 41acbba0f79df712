# SPDX-License-Identifier: Apache-2.0
"""From a network and the wishes of its user to one function: images in, Detections out."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np

from pydarknet.engine.detections import Detections
from pydarknet.errors import ArgumentError
from pydarknet.streaming.tiling import Tiles

#: Detections of each of a list of images.
Find: TypeAlias = Callable[[list[Any]], list[Detections]]


class Detector(Protocol):
    """What inference needs of a network: ``Network.detect`` for lists of images."""

    def detect(self, image: list[Any], thresh: float, nms: float, letterbox: bool | None) -> list[Detections]:
        """Detections of each image."""


def finder(
    net: Detector,
    *,
    thresh: float = 0.25,
    nms: float = 0.45,
    letterbox: bool | None = None,
    classes: Iterable[str | int] | None = None,
    tile: int | tuple[int, int] | None = None,
    overlap: float = 0.2,
) -> Find:
    """The function from images to Detections that the options of :func:`pydarknet.stream` ask for."""

    def find(images: list[Any]) -> list[Detections]:
        return net.detect(images, thresh, nms, letterbox)

    every_class = find if tile is None else Tiles(find, tile, overlap, nms)
    if classes is None:
        return every_class
    ids = sorted(class_ids(classes, getattr(net, "names", ())))
    return lambda images: [found[np.isin(found.class_id, ids)] for found in every_class(images)]


def class_ids(classes: Iterable[str | int], names: Sequence[str]) -> frozenset[int]:
    """Ids of classes given by name or id.

    Raises:
        ArgumentError: there is no such class; the message says which come close.
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
