# SPDX-License-Identifier: Apache-2.0
"""Detection of small objects in large images: on overlapping tiles and on the whole image.

An object on a border is found in pieces. Pieces that meet in the overlap of two tiles are joined into one
box; pieces inside a whole box are then dropped; and boxes found twice are suppressed by NMS. Sliced
inference: Akyon et al., "Slicing Aided Hyper Inference and Fine-Tuning for Small Object Detection",
ICIP 2022.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pydarknet.engine.boxes import area, intersection
from pydarknet.engine.detections import Detections
from pydarknet.errors import ArgumentError

Boxes = npt.NDArray[np.float32]
_NEAR = 0.02  # of a tile's side: a box within this distance of the border counts as cut
_SAME_SPAN = 0.5  # pieces of one object overlap this much along the border (intersection over union)
_INSIDE = 0.6  # a piece with this fraction of its area inside a box is dropped


@dataclass(frozen=True)
class Tile:
    """Part of an image, in pixels: left, top, right, bottom."""

    left: int
    top: int
    right: int
    bottom: int


class Tiles:
    """Detection in tiles and the whole image, merged.

    Args:
        detect: returns the Detections of each image of a list.
        size: of a tile in pixels, (width, height) or one number for both.
        overlap: overlap between neighbouring tiles, as a fraction of a tile, 0..0.9.
        nms: overlap (IoU) above which the weaker of two boxes of a class is dropped, 0..1; 0 drops none.

    Raises:
        ArgumentError: a value is out of range.
    """

    def __init__(
        self,
        detect: Callable[[list[Any]], list[Detections]],
        size: int | tuple[int, int],
        overlap: float = 0.2,
        nms: float = 0.45,
    ) -> None:
        self._detect = detect
        self._size = (size, size) if isinstance(size, int) else size
        self._overlap, self._nms = overlap, nms
        if min(self._size) < 16:
            raise ArgumentError(f"found tiles of {self._size[0]}x{self._size[1]} pixels, expected 16 or more")
        if not 0 <= overlap <= 0.9:
            raise ArgumentError(f"found overlap={overlap}, expected 0..0.9")

    def __call__(self, images: Sequence[Any]) -> list[Detections]:
        """Detect objects in each image."""
        return [self._one(image) for image in images]

    def _one(self, image: Any) -> Detections:
        height, width = image.shape[:2]
        tiles = cut(width, height, self._size, self._overlap)
        whole = Tile(0, 0, width, height)
        areas = [whole] if tiles == [whole] else [*tiles, whole]
        found = self._detect([image[t.top : t.bottom, t.left : t.right] for t in areas])
        if len(areas) == 1:
            return found[0]
        return merge(found, areas, (width, height), self._nms)


def cut(width: int, height: int, size: tuple[int, int], overlap: float) -> list[Tile]:
    """Tiles that cover an image; those at the right and lower border are shifted inwards, not cropped."""
    return [
        Tile(x, y, min(x + size[0], width), min(y + size[1], height))
        for y in _starts(height, size[1], overlap)
        for x in _starts(width, size[0], overlap)
    ]


def _starts(length: int, size: int, overlap: float) -> list[int]:
    if length <= size:
        return [0]
    step = max(1, round(size * (1 - overlap)))
    return [*range(0, length - size, step), length - size]


def merge(
    found: Sequence[Detections], areas: Sequence[Tile], image_size: tuple[int, int], nms: float
) -> Detections:
    """Merge the Detections of parts of an image, best first.

    Args:
        found: Detections of each part, in the part's pixels.
        areas: the parts.
        image_size: (width, height).
        nms: see :class:`Tiles`.
    """
    xyxy = np.concatenate(
        [dets.xyxy + np.array([t.left, t.top] * 2, np.float32) for dets, t in zip(found, areas, strict=True)]
    )
    confidence = np.concatenate([dets.confidence for dets in found])
    class_id = np.concatenate([dets.class_id for dets in found])
    cuts = np.concatenate([_cuts(dets.xyxy, t, image_size) for dets, t in zip(found, areas, strict=True)])
    tile_of = np.repeat(np.arange(len(areas)), [len(dets) for dets in found])
    if nms > 0:
        xyxy, confidence, cuts, kept = _join(xyxy, confidence, class_id, cuts, tile_of)
        pieces = np.any(cuts[kept], axis=1)
        rows = kept[_suppress(xyxy[kept], confidence[kept], class_id[kept], pieces, nms)]
    else:
        rows = np.argsort(-confidence, kind="stable")
    first = found[0]
    return replace(
        first,
        xyxy=np.ascontiguousarray(xyxy[rows]),
        confidence=confidence[rows],
        class_id=class_id[rows],
        image_size=image_size,
    )


def _cuts(boxes: Boxes, tile: Tile, image_size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """(n, 4) whether a box ends at the left, top, right, lower border of its tile, inside the image."""
    width, height = tile.right - tile.left, tile.bottom - tile.top
    near_x, near_y = _NEAR * width, _NEAR * height
    cuts = np.empty((len(boxes), 4), bool)
    cuts[:, 0] = (boxes[:, 0] < near_x) & (tile.left > 0)
    cuts[:, 1] = (boxes[:, 1] < near_y) & (tile.top > 0)
    cuts[:, 2] = (boxes[:, 2] > width - near_x) & (tile.right < image_size[0])
    cuts[:, 3] = (boxes[:, 3] > height - near_y) & (tile.bottom < image_size[1])
    return cuts


def _join(
    xyxy: Boxes,
    confidence: npt.NDArray[np.float32],
    class_id: npt.NDArray[Any],
    cuts: npt.NDArray[np.bool_],
    tile_of: npt.NDArray[np.intp],
) -> tuple[Boxes, npt.NDArray[np.float32], npt.NDArray[np.bool_], npt.NDArray[np.intp]]:
    """Join pieces across borders; returns the changed columns and the remaining rows."""
    parent = list(range(len(xyxy)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = row = parent[parent[row]]
        return row

    is_piece = cuts.any(axis=1)
    for kind in np.unique(class_id[is_piece]):  # a table of all pairs of all classes may not fit in memory
        pieces = np.flatnonzero(is_piece & (class_id == kind))
        meet = _meet(xyxy[pieces], cuts[pieces], 0) | _meet(xyxy[pieces], cuts[pieces], 1)
        meet &= tile_of[pieces, None] != tile_of[pieces]
        for a, b in pieces[np.argwhere(meet)].tolist():
            low, high = sorted((root(a), root(b)))
            parent[high] = low
    groups: dict[int, list[int]] = {}
    for row in range(len(xyxy)):
        groups.setdefault(root(row), []).append(row)

    joined, best, ends = xyxy.copy(), confidence.copy(), cuts.copy()
    for first, rows in groups.items():
        if len(rows) > 1:
            best[first] = confidence[rows].max()
            for side, outermost in enumerate((np.argmin, np.argmin, np.argmax, np.argmax)):
                row = rows[int(outermost(xyxy[rows, side]))]
                joined[first, side], ends[first, side] = xyxy[row, side], cuts[row, side]
    return joined, best, ends, np.array(sorted(groups), np.intp)


def _meet(boxes: Boxes, cuts: npt.NDArray[np.bool_], axis: int) -> npt.NDArray[np.bool_]:
    """(n, n) whether the piece of the column continues that of the row along an axis (0: x, 1: y)."""
    begin, end = boxes[:, axis], boxes[:, axis + 2]
    low, high = boxes[:, 1 - axis], boxes[:, 3 - axis]
    follows = cuts[:, None, axis + 2] & cuts[None, :, axis]
    follows &= (begin[:, None] <= begin) & (begin <= end[:, None]) & (end[:, None] <= end)
    shared = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    span = np.maximum(high[:, None], high) - np.minimum(low[:, None], low)
    return np.asarray(follows & (shared > _SAME_SPAN * span))


def _suppress(
    xyxy: Boxes,
    confidence: npt.NDArray[np.float32],
    class_id: npt.NDArray[Any],
    is_piece: npt.NDArray[np.bool_],
    nms: float,
) -> npt.NDArray[np.intp]:
    """Rows to keep, best first: per class, whole boxes before pieces, then by confidence."""
    areas = area(xyxy)
    order = np.lexsort((-confidence, is_piece, class_id))
    kept = []
    for alike in np.split(order, np.flatnonzero(np.diff(class_id[order])) + 1):
        rest = alike
        while len(rest):
            row, rest = rest[0], rest[1:]
            kept.append(row)
            shared = intersection(xyxy[rest], xyxy[row])
            same = shared > nms * (areas[rest] + areas[row] - shared)
            inside = is_piece[rest] & (shared > _INSIDE * areas[rest])
            rest = rest[~(same | inside)]
    rows = np.sort(np.array(kept, np.intp))
    return rows[np.argsort(-confidence[rows], kind="stable")]
