# SPDX-License-Identifier: Apache-2.0
"""Boxes and labels on images: one colour per class in all images; sizes follow the image."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pydarknet.engine import opencv
from pydarknet.engine.images import ImageLike, Pixels, load

if TYPE_CHECKING:  # Detections imports this module
    from pydarknet.engine.detections import Detections

Colour = tuple[int, int, int]
Area = tuple[int, int, int, int]  # x1, y1, x2, y2 in pixels
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
        image: as for ``Network.detect``; 16 bits are shown as 8, grey as colour.
        detections: in this image's pixels.
        line_width: in pixels; by default one for every 300 pixels of the image's sides, 2 at least.
        labels: write class names.
        confidence: write the confidence in percent after the name.

    Returns:
        (h, w, 3) uint8, blue first.
    """
    canvas = _canvas(image)
    if line_width is None:
        line_width = max(2, round(sum(canvas.shape[:2]) / 2 / 300))
    boxes = _boxes(detections)
    for rows in reversed(boxes):  # strong ones on top
        _draw_box(canvas, detections, rows, line_width)
    taken: list[Area] = []
    for rows in boxes:  # strong ones have the first choice of place
        text = ", ".join(filter(None, (_label(detections, row, labels, confidence) for row in rows)))
        if text:
            colour = class_colour(int(detections.class_id[rows[0]]))
            corner = _corners(canvas, detections, rows, line_width)[:2]
            draw_label(canvas, text, corner, colour, line_width, taken)
    return canvas


def _canvas(image: ImageLike) -> npt.NDArray[np.uint8]:
    pixels = load(image, 3)
    if pixels.dtype == np.uint16:
        pixels = pixels >> 8
    return np.array(pixels, np.uint8, order="C")


def _boxes(detections: Detections) -> list[list[int]]:
    """Rows grouped by box; boxes, and rows of each, in descending order of confidence."""
    boxes: dict[bytes, list[int]] = {}
    for row in np.argsort(-detections.confidence, kind="stable"):
        boxes.setdefault(detections.xyxy[row].tobytes(), []).append(int(row))
    return list(boxes.values())


def _corners(canvas: Pixels, detections: Detections, rows: list[int], line_width: int) -> Area:
    """Whole pixels, clipped near the image, because OpenCV's fixed-point numbers overflow far outside it."""
    height, width = canvas.shape[:2]
    limits = np.array([width, height, width, height], np.float32) + line_width
    box = np.rint(np.clip(np.nan_to_num(detections.xyxy[rows[0]]), -line_width, limits))
    return int(box[0]), int(box[1]), int(box[2]), int(box[3])


def _draw_box(canvas: Pixels, detections: Detections, rows: list[int], line_width: int) -> None:
    import cv2

    x1, y1, x2, y2 = _corners(canvas, detections, rows, line_width)
    colour = class_colour(int(detections.class_id[rows[0]]))
    # No smoothing: on straight lines it only adds a pixel on either side.
    cv2.rectangle(canvas, (x1, y1), (x2, y2), colour, line_width)


def _label(detections: Detections, row: int, name: bool, confidence: bool) -> str:
    parts = [detections[row].labels[0]] if name else []
    if name and detections.tracker_id is not None and detections.tracker_id[row] >= 0:
        parts.append(f"#{detections.tracker_id[row]}")
    if confidence:
        parts.append(f"{detections.confidence[row]:.0%}")
    return " ".join(parts)


def draw_label(
    canvas: Pixels,
    text: str,
    corner: tuple[int, int],
    colour: Colour,
    line_width: int,
    taken: list[Area] | None = None,
) -> None:
    """Write text on a filled strip above a corner, inside the image; in place.

    Args:
        canvas: (h, w, 3) uint8.
        text: characters beyond ASCII become question marks, which is all that the font has.
        corner: the upper left one of the box, (x, y).
        colour: of the strip.
        line_width: of the box; the text's size follows it.
        taken: areas of labels that must stay readable; the label moves down to avoid them, and is added.
    """
    import cv2

    height, width = canvas.shape[:2]
    scale, weight = max(0.4, line_width / 4), max(1, line_width // 2)
    text_width, text_height, baseline = opencv.text_size(text, scale, weight)
    strip_width, strip_height = text_width + 4, text_height + baseline + 4

    left = max(0, min(corner[0] - line_width // 2, width - strip_width))
    places = [
        max(0, min(corner[1] + step * strip_height, height - strip_height)) for step in (-1, 0, 1, -2, 2)
    ]
    areas = [(left, top, left + strip_width, top + strip_height) for top in places]
    taken = [] if taken is None else taken
    area = next((area for area in areas if not any(_overlap(area, other) for other in taken)), areas[0])
    taken.append(area)
    cv2.rectangle(canvas, area[:2], area[2:], colour, cv2.FILLED)
    origin = (area[0] + 2, area[3] - baseline - 2)
    opencv.put_text(canvas, text, origin, scale, text_colour(colour), weight, cv2.LINE_AA)


def _overlap(a: Area, b: Area) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
