# SPDX-License-Identifier: Apache-2.0
"""Boxes and labels on pictures: one colour per class, the same everywhere; sizes that suit the image."""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np
import numpy.typing as npt

from pydarknet.detections import Detections
from pydarknet.images import ImageLike, load

Colour = tuple[int, int, int]
_GOLDEN_RATIO = (
    0.61803398875  # multiples of it, modulo 1, keep neighbouring ids far apart on the colour circle
)


def class_colour(class_id: int) -> Colour:
    """The colour of a class, (blue, green, red), each 0..255."""
    hue = (class_id * _GOLDEN_RATIO) % 1
    value = 1.0 if class_id % 2 else 0.85
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, value)
    return round(blue * 255), round(green * 255), round(red * 255)


def text_colour(background: Colour) -> Colour:
    """Black or white, whichever is easier to read on a background (ITU-R BT.601 luma)."""
    blue, green, red = background
    return (0, 0, 0) if 0.114 * blue + 0.587 * green + 0.299 * red > 140 else (255, 255, 255)


def draw(
    image: ImageLike,
    detections: Detections,
    *,
    line_width: int | None = None,
    labels: bool = True,
    confidence: bool = True,
) -> npt.NDArray[np.uint8]:
    """Draw detections into a copy of an image.

    Args:
        image: whatever ``Network.detect`` takes; 16 bits are shown as 8, grey as colour.
        detections: in this image's pixels.
        line_width: in pixels; by default one for every 300 pixels of the image's sides, 2 at least.
        labels: write class names.
        confidence: write the confidence in percent behind the name.

    Returns:
        (h, w, 3) uint8, blue first.
    """
    canvas = _canvas(image)
    if line_width is None:
        line_width = max(2, round(sum(canvas.shape[:2]) / 2 / 300))
    for rows in _boxes(detections):
        _draw_box(canvas, detections, rows, line_width, labels, confidence)
    return canvas


def _canvas(image: ImageLike) -> npt.NDArray[np.uint8]:
    pixels = load(image, 3)
    if pixels.dtype == np.uint16:
        pixels = pixels >> 8
    return np.array(pixels, np.uint8, order="C")


def _boxes(detections: Detections) -> list[list[int]]:
    """Rows of one box together, most confident first; weak boxes first, so that strong ones lie on top."""
    boxes: dict[bytes, list[int]] = {}
    for row in np.argsort(-detections.confidence, kind="stable"):
        boxes.setdefault(detections.xyxy[row].tobytes(), []).append(int(row))
    return list(reversed(boxes.values()))


def _draw_box(
    canvas: npt.NDArray[np.uint8],
    detections: Detections,
    rows: list[int],
    line_width: int,
    labels: bool,
    confidence: bool,
) -> None:
    import cv2

    height, width = canvas.shape[:2]
    # Far outside, OpenCV's 16-bit fixed point would overflow; just beyond the border looks the same.
    limits = np.array([width, height, width, height], np.float32) + line_width
    x1, y1, x2, y2 = (
        int(v) for v in np.rint(np.clip(np.nan_to_num(detections.xyxy[rows[0]]), -line_width, limits))
    )
    colour = class_colour(int(detections.class_id[rows[0]]))
    # No smoothing: on straight lines it only adds a pixel on either side.
    cv2.rectangle(canvas, (x1, y1), (x2, y2), colour, line_width)
    parts = []
    for row in rows:
        name = [detections.name(row)] if labels else []
        percent = [f"{detections.confidence[row]:.0%}"] if confidence else []
        tracked = detections.track_id is not None and detections.track_id[row] >= 0
        track = [f"#{detections.track_id[row]}"] if tracked and labels else []  # type: ignore[index]
        parts.append(" ".join(name + track + percent))
    text = ", ".join(part for part in parts if part)
    if text:
        _draw_label(canvas, text, (x1, y1), colour, line_width)


def _draw_label(canvas: Any, text: str, corner: tuple[int, int], colour: Colour, line_width: int) -> None:
    """The text on a filled strip above the corner, moved so that it stays inside the image."""
    import cv2

    height, width = canvas.shape[:2]
    scale, weight = max(0.4, line_width / 4), max(1, line_width // 2)
    face = cv2.FONT_HERSHEY_SIMPLEX
    text = text.encode("ascii", "replace").decode()  # Hershey fonts have no more
    (text_width, text_height), baseline = cv2.getTextSize(text, face, scale, weight)
    left = max(0, min(corner[0] - line_width // 2, width - text_width - 4))
    top = corner[1] - text_height - baseline - 4
    top = max(0, min(top, height - text_height - baseline - 4))
    bottom = top + text_height + baseline + 4
    cv2.rectangle(canvas, (left, top), (left + text_width + 4, bottom), colour, cv2.FILLED)
    origin = (left + 2, bottom - baseline - 2)
    cv2.putText(canvas, text, origin, face, scale, text_colour(colour), weight, cv2.LINE_AA)
