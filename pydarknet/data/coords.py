# SPDX-License-Identifier: Apache-2.0
"""Conventions of pixel coordinates in label files.

``origin`` is the index of the first pixel (0 or 1); ``inclusive`` is 1 if the maximum is the index of a
pixel that still belongs to the box. Inside pydarknet corners are pixel edges, so ``x1 = xmin - origin`` and
``x2 = xmax - origin + inclusive``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from pydarknet.errors import DataError


class Convention(NamedTuple):
    """Origin and inclusiveness of corner coordinates in pixels."""

    origin: int
    inclusive: int


CONVENTIONS: dict[str, Convention] = {
    "voc": Convention(1, 1),  # VOC development kit: 1-based, inclusive
    "ilsvrc": Convention(0, 1),  # ImageNet: 0-based, inclusive
    "edge": Convention(0, 0),  # LabelImg, Roboflow, CVAT and most scripts
    "darknet-script": Convention(1, 0),  # Darknet's own VOC script makes boxes one pixel too small
}


def convention(name: str) -> Convention:
    """Convention by name.

    Raises:
        DataError: if there is no such convention.
    """
    if name not in CONVENTIONS:
        raise DataError(f"coordinate convention must be one of {', '.join(CONVENTIONS)}, not {name!r}")
    return CONVENTIONS[name]


def to_edges(
    rule: Convention, xmin: float, ymin: float, xmax: float, ymax: float
) -> tuple[float, float, float, float]:
    """Corners of a file as pixel edges."""
    shift = rule.inclusive - rule.origin
    return xmin - rule.origin, ymin - rule.origin, xmax + shift, ymax + shift


def from_edges(rule: Convention, x1: float, y1: float, x2: float, y2: float) -> tuple[int, int, int, int]:
    """Pixel edges as whole-number corners of a file; a box never becomes empty by rounding."""
    shift = rule.inclusive - rule.origin
    x1, x2 = _whole(x1, x2)
    y1, y2 = _whole(y1, y2)
    return int(x1) + rule.origin, int(y1) + rule.origin, int(x2) - shift, int(y2) - shift


def _whole(low: float, high: float) -> tuple[float, float]:
    a, b = math.floor(low + 0.5), math.floor(high + 0.5)
    return (a, b) if a < b else (math.floor(low), math.floor(low) + 1)
