# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of boxes: overlap, clipping, corners and centres.

Boxes are rows of four numbers: corners x1, y1, x2, y2, or centre and size x, y, w, h.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Array = TypeVar("Array", bound=np.floating[Any])


def intersection(a: Floats, b: Floats) -> Floats:
    """Area that boxes share, in the unit of the corners squared; 0 for boxes that do not touch.

    Args:
        a: corners (..., 4).
        b: corners (..., 4); both are broadcast.
    """
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., 2:], b[..., 2:])
    return np.asarray(np.prod(np.clip(high - low, 0, None), axis=-1))


def area(boxes: Floats) -> Floats:
    """Areas (...) of boxes given as corners (..., 4); 0 for boxes turned inside out."""
    return np.asarray(np.prod(np.clip(boxes[..., 2:] - boxes[..., :2], 0, None), axis=-1))


def iou(a: Floats, b: Floats) -> npt.NDArray[np.float32]:
    """Intersection over union of each of n boxes with each of m, float32 (n, m), 0..1.

    Args:
        a: corners (n, 4).
        b: corners (m, 4), in the same unit.
    """
    shared = intersection(a[:, None], b[None])
    union = area(a)[:, None] + area(b)[None] - shared
    return np.asarray(np.where(union > 0, shared / np.where(union > 0, union, 1), 0), np.float32)


def suppress(
    boxes: npt.NDArray[np.float32],
    confidence: npt.NDArray[np.float32],
    threshold: float,
    groups: npt.NDArray[np.integer[Any]] | None = None,
) -> npt.NDArray[np.intp]:
    """Greedy non-maximum suppression: rows that remain, in ascending order.

    Args:
        boxes: corners (n, 4).
        confidence: (n,); the strongest box is kept, and those that overlap it more are dropped.
        threshold: overlap (IoU), 0..1.
        groups: (n,), for example class ids: only boxes of one group suppress each other.
    """
    keep = np.ones(len(boxes), bool)
    order = np.argsort(-confidence, kind="stable")
    for place, row in enumerate(order):
        if not keep[row]:
            continue
        rest = order[place + 1 :]
        rest = rest[keep[rest]] if groups is None else rest[keep[rest] & (groups[rest] == groups[row])]
        keep[rest[iou(boxes[[row]], boxes[rest])[0] > threshold]] = False
    return np.flatnonzero(keep)


def iou_of_sizes(a: npt.ArrayLike, b: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """IoU of each of n boxes with each of m that have one corner in common, float64 (n, m), 0..1.

    Args:
        a: widths and heights (n, 2).
        b: widths and heights (m, 2), in the same unit.
    """
    first, second = np.asarray(a, float)[:, None], np.asarray(b, float)[None]
    shared = np.minimum(first, second).prod(2)
    return np.asarray(shared / (first.prod(2) + second.prod(2) - shared))


def clip(boxes: npt.NDArray[Array], size: tuple[float, float]) -> npt.NDArray[Array]:
    """Corners (..., 4) cut at the border of an image of ``size`` (width, height); NaN becomes 0."""
    limits = np.array(size * 2, boxes.dtype)
    return np.asarray(np.clip(np.nan_to_num(boxes), 0, limits), boxes.dtype)


def to_corners(boxes: npt.NDArray[Array]) -> npt.NDArray[Array]:
    """Corners (n, 4) of boxes given by centre and size (n, 4)."""
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], 1)


def to_centres(boxes: npt.NDArray[Array]) -> npt.NDArray[Array]:
    """Centre and size (n, 4) of boxes given by corners (n, 4)."""
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1)
