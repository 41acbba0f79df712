# SPDX-License-Identifier: Apache-2.0
"""Envelopes: the smallest upright boxes around shapes, the same in every format.

Points, ellipses, rotated boxes and masks have one; a single point has none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Corners = tuple[float, float, float, float]


def points_envelope(xs: Sequence[float], ys: Sequence[float]) -> Corners:
    """The smallest box around some points.

    Raises:
        ValueError: if there are none.
    """
    if not xs or len(xs) != len(ys):
        raise ValueError("a shape without points")
    return min(xs), min(ys), max(xs), max(ys)


def ellipse_envelope(cx: float, cy: float, rx: float, ry: float, degrees: float = 0.0) -> Corners:
    """The smallest box around an ellipse that is turned clockwise (y points down) about its centre."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    dx, dy = math.hypot(rx * cos, ry * sin), math.hypot(rx * sin, ry * cos)
    return cx - dx, cy - dy, cx + dx, cy + dy


def envelope(segmentation: Any) -> Corners:
    """The smallest box around COCO polygons ``[[x, y, x, y, …], …]`` or a mask ``{"size": [h, w], "counts":
    …}``.

    Raises:
        ValueError: if it is neither, or empty.
    """
    if isinstance(segmentation, list):
        flat = [float(value) for polygon in segmentation for value in polygon]
        return points_envelope(flat[0::2], flat[1::2])
    if not isinstance(segmentation, dict) or "counts" not in segmentation or "size" not in segmentation:
        raise ValueError("neither bbox nor a usable segmentation")
    height, width = map(int, segmentation["size"])
    counts = segmentation["counts"]
    return _mask_envelope(
        _decompress(counts) if isinstance(counts, str) else list(map(int, counts)), height, width
    )


def _mask_envelope(counts: list[int], height: int, width: int) -> Corners:
    """Runs go down the columns, background first."""
    if height <= 0 or width <= 0 or min(counts, default=0) < 0 or sum(counts) != height * width:
        raise ValueError(f"mask runs do not fill {width}x{height}")
    ends = np.cumsum(counts)
    first, last = ends[0:-1:2], ends[1::2] - 1  # pixels of the foreground runs
    first, last = first[last >= first], last[last >= first]
    if not len(first):
        raise ValueError("an empty mask")
    x1, x2 = first.min() // height, last.max() // height
    crosses = first // height != last // height
    y1 = 0 if crosses.any() else (first % height).min()
    y2 = height - 1 if crosses.any() else (last % height).max()
    return float(x1), float(y1), float(x2 + 1), float(y2 + 1)


def _decompress(text: str) -> list[int]:
    """COCO's text form: 5 bits per character, little end first, from the third run on relative to two runs
    before."""
    counts: list[int] = []
    at = 0
    while at < len(text):
        value = shift = 0
        more = True
        while more:
            if at >= len(text):
                raise ValueError("a cut-off mask")
            bits = ord(text[at]) - 48
            if not 0 <= bits < 64:
                raise ValueError("a mask with foreign characters")
            value |= (bits & 0x1F) << shift
            more = bool(bits & 0x20)
            at, shift = at + 1, shift + 5
            if not more and bits & 0x10:
                value |= -1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
    return counts


def brush_envelope(data: Sequence[int], width: int, height: int) -> Corners:
    """The smallest box around a mask of Label Studio: run lengths of RGBA values, packed by bits.

    Raises:
        ValueError: if the data does not fill the image, or the mask is empty.
    """
    bits = "".join(f"{byte:08b}" for byte in data)
    at = 0

    def read(count: int) -> int:
        nonlocal at
        at += count
        if at > len(bits):
            raise ValueError("a brush mask that is cut off")
        return int(bits[at - count : at], 2)

    total, word = read(32), read(5) + 1
    if total != 4 * width * height:
        raise ValueError(f"a brush mask of {total} values for {width}x{height} pixels")
    lengths = [read(4) + 1 for _ in range(4)]
    values = np.zeros(total, np.uint8)
    done = 0
    while done < total:
        repeated = read(1)
        end = done + 1 + read(lengths[read(2)])
        values[done:end] = read(word) if repeated else [read(word) for _ in range(end - done)][: total - done]
        done = end
    rows, columns = np.nonzero(values.reshape(height, width, 4)[:, :, 3])
    if not len(rows):
        raise ValueError("an empty mask")
    return float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)


def turned_envelope(corners: Corners, degrees: float, pivot: tuple[float, float]) -> Corners:
    """The smallest upright box around a box turned clockwise (y points down) about a point."""
    x1, y1, x2, y2 = corners
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    xs, ys = [], []
    for x, y in ((x1, y1), (x2, y1), (x2, y2), (x1, y2)):
        dx, dy = x - pivot[0], y - pivot[1]
        xs.append(pivot[0] + dx * cos - dy * sin)
        ys.append(pivot[1] + dx * sin + dy * cos)
    return points_envelope(xs, ys)


def mask_image_envelope(data: bytes) -> Corners:
    """The smallest box around the pixels of an image file that are neither black nor transparent.

    Raises:
        ValueError: if it cannot be decoded, or has no such pixel.
    """
    import cv2

    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if pixels is None:
        raise ValueError("a mask that cannot be decoded")
    shown = pixels if pixels.ndim == 2 else pixels[:, :, -1] if pixels.shape[2] == 4 else pixels.max(axis=2)
    rows, columns = np.nonzero(shown)
    if not len(rows):
        raise ValueError("an empty mask")
    return float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)
