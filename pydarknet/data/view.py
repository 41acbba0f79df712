# SPDX-License-Identifier: Apache-2.0
"""Images with their boxes drawn, and contact sheets of many; no window needed."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pydarknet.data.dataset import SET_ASIDE, Flag, Sample, Status
from pydarknet.data.files import atomic
from pydarknet.errors import DataError

Picture = NDArray[np.uint8]  #: (height, width, 3) BGR, as OpenCV has them

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GREY = (128, 128, 128)
_GOLDEN = 0.618033988749895


def class_colour(class_id: int) -> tuple[int, int, int]:
    """BGR of a class; neighbours in the class list differ clearly, any class (-1) is grey."""
    if class_id < 0:
        return _GREY
    hue = (class_id * _GOLDEN) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 0.95 if class_id % 2 else 0.75)
    return round(255 * blue), round(255 * green), round(255 * red)


def load(path: Path) -> Picture:
    """An image as BGR, EXIF orientation applied.

    Raises:
        DataError: if it is missing or cannot be decoded.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        reason = "cannot be decoded" if path.is_file() else "no such image"
        raise DataError(f"{path}: {reason}")
    return np.asarray(image, np.uint8)


def draw(sample: Sample, names: Sequence[str], *, captions: bool = True) -> Picture:
    """The image of a sample with its boxes.

    Args:
        sample: what to draw; boxes set aside get thin lines.
        names: class names.
        captions: write the class, and what is special about the box, above it.

    Raises:
        DataError: if the image cannot be read.
    """
    picture = load(sample.image)
    height, width = picture.shape[:2]
    line = max(1, round(max(width, height) / 400))
    # Small boxes last, so that large ones do not hide them.
    area = np.prod(sample.boxes[:, 2:] - sample.boxes[:, :2], axis=1)
    for i in np.argsort(-area, kind="stable").tolist():
        x1, y1, x2, y2 = sample.boxes[i].tolist()
        # From edges to the first and last pixel inside.
        first = min(width - 1, round(x1)), min(height - 1, round(y1))
        last = max(first[0], round(x2) - 1), max(first[1], round(y2) - 1)
        flags = Flag(int(sample.flags[i]))
        colour = class_colour(int(sample.classes[i]))
        cv2.rectangle(picture, first, last, colour, 1 if flags & SET_ASIDE else line)
        if captions:
            _caption(picture, first, _words(sample, i, flags, names), colour)
    return picture


def contact_sheet(
    samples: Iterable[Sample], names: Sequence[str], *, columns: int = 4, tile: int = 320
) -> Picture:
    """Many images with their boxes in one picture, each with its name and status.

    Args:
        samples: what to draw.
        names: class names.
        columns: images side by side.
        tile: side of the square that an image is fitted into, in pixels.

    Raises:
        DataError: if there is no sample, or an image cannot be read.
    """
    tiles = [_tile(sample, names, tile) for sample in samples]
    if not tiles:
        raise DataError("there is no image to draw")
    columns = min(columns, len(tiles))
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return np.vstack(rows)


def save_png(picture: Picture, path: Path) -> None:
    """Write a picture; the file appears complete or not at all."""
    ok, data = cv2.imencode(".png", picture)
    assert ok
    with atomic(path, sync=False) as file:
        file.write(data.tobytes())


def _words(sample: Sample, i: int, flags: Flag, names: Sequence[str]) -> str:
    class_id = int(sample.classes[i])
    words = [names[class_id] if class_id >= 0 else "any"]
    if sample.scores is not None:
        words.append(f"{sample.scores[i]:.2f}")
    words += [flag.name.lower() for flag in Flag if flag.name and flag & flags]
    return " ".join(words)


def _caption(picture: Picture, corner: tuple[int, int], text: str, colour: tuple[int, int, int]) -> None:
    """Text on the colour of the box, above it or, at the upper rim, inside."""
    scale = max(0.35, max(picture.shape[:2]) / 1600)
    text = text.encode("ascii", "replace").decode()  # OpenCV's fonts have no other letters
    (width, height), below = cv2.getTextSize(text, _FONT, scale, 1)
    x, high = corner[0], height + below + 2
    y = corner[1] - high if corner[1] >= high else corner[1]
    cv2.rectangle(picture, (x, y), (x + width + 3, y + high - 1), colour, cv2.FILLED)
    bright = 0.114 * colour[0] + 0.587 * colour[1] + 0.299 * colour[2] > 140
    ink = (0, 0, 0) if bright else (255, 255, 255)
    cv2.putText(picture, text, (x + 2, y + height + 1), _FONT, scale, ink, 1, cv2.LINE_AA)


def _tile(sample: Sample, names: Sequence[str], side: int) -> Picture:
    picture = draw(sample, names, captions=True)
    footer = 18
    scale = min(side / picture.shape[1], side / picture.shape[0])
    size = max(1, math.floor(picture.shape[1] * scale)), max(1, math.floor(picture.shape[0] * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    tile: Picture = np.full((side + footer, side, 3), 255, np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = small
    text = sample.name if sample.status is Status.ANNOTATED else f"{sample.name} [{sample.status.value}]"
    text = text.encode("ascii", "replace").decode()
    cv2.putText(tile, text[-side // 7 :], (3, side + 12), _FONT, 0.38, (0, 0, 0), 1, cv2.LINE_AA)
    return tile
