# SPDX-License-Identifier: Apache-2.0
"""Boxes of a training image: transformation with the pixels, and the choice of visible ones.

Boxes are float64 (n, 5): x, y, w, h relative to the image (centre form), class.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.float64]

FIELDS = 6  # of a truth in the input of the engine: x, y, w, h, class, track id


def edges(boxes: Boxes) -> tuple[Boxes, Boxes, Boxes, Boxes]:
    """Left, right, top, bottom of each box."""
    x, y, w, h = boxes[:, :4].T
    return x - w / 2, x + w / 2, y - h / 2, y + h / 2


def from_edges(sides: Sequence[Boxes], classes: Boxes) -> Boxes:
    """Inverse of :func:`edges`: boxes from left, right, top, bottom."""
    left, right, top, bottom = sides
    return np.stack([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top, classes], 1)


def outside(boxes: Boxes) -> npt.NDArray[np.bool_]:
    """Mask of boxes that Darknet rejects: entirely outside the image, or at x = y = 0."""
    left, right, top, bottom = edges(boxes)
    nowhere = (boxes[:, 0] == 0) & (boxes[:, 1] == 0)
    return np.asarray(nowhere | (right < 0) | (bottom < 0) | (left > 1) | (top > 1))


def transform(boxes: Boxes, scale: tuple[float, float], shift: tuple[float, float], flip: bool) -> Boxes:
    """Transform boxes of an image into the coordinates of a crop, clipped at its edges.

    Args:
        boxes: of the image.
        scale: width and height of the crop relative to the image.
        shift: left and top of the crop relative to the crop.
        flip: mirror horizontally afterwards.
    """
    left, right, top, bottom = edges(boxes)
    left, right = left / scale[0] - shift[0], right / scale[0] - shift[0]
    top, bottom = top / scale[1] - shift[1], bottom / scale[1] - shift[1]
    if flip:
        left, right = 1 - right, 1 - left
    return from_edges([np.clip(edge, 0, 1) for edge in (left, right, top, bottom)], boxes[:, 4])


def visible(boxes: Boxes, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Mask of boxes to train on: at least one input pixel in size, and the centre inside.

    As in Darknet there is no minimum for the visible fraction of an object.
    """
    x, y, w, h = boxes[:, :4].T
    inside = (x > 0) & (x <= 1) & (y > 0) & (y <= 1)
    return np.asarray(inside & (w >= 1 / size[0]) & (h >= 1 / size[1]))


def packed(boxes: Boxes, count: int) -> npt.NDArray[np.float32]:
    """Pack boxes for the engine: (count, 6), rows after the last box are 0."""
    table = np.zeros((count, FIELDS), np.float32)
    kept = boxes[:count]
    table[: len(kept), :5] = kept
    return table
