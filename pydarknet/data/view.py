# SPDX-License-Identifier: Apache-2.0
"""Images with their boxes drawn, and contact sheets of many; no window needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pydarknet.data.dataset import SET_ASIDE, Flag, Sample, Status
from pydarknet.data.files import atomic
from pydarknet.errors import DataError
from pydarknet.images import load
from pydarknet.render import class_colour, draw_label

Picture = NDArray[np.uint8]  #: (height, width, 3) BGR, as OpenCV has them

_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw(sample: Sample, names: Sequence[str], *, captions: bool = True) -> Picture:
    """The image of a sample with its boxes.

    Args:
        sample: what to draw; boxes set aside get thin lines.
        names: class names.
        captions: write the class, and what is special about the box, above it.

    Raises:
        DataError: if the image cannot be read.
    """
    picture: Picture = np.array(_eight_bit(load(sample.image)), order="C")
    height, width = picture.shape[:2]
    line = max(1, round((width + height) / 2 / 300))
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
            draw_label(picture, _words(sample, i, flags, names), first, colour, line)
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
    rows = [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
    return np.vstack([_row(row, columns * tile) for row in rows])


def _row(tiles: list[Picture], width: int) -> Picture:
    """Tiles side by side on white, as high as the highest."""
    row: Picture = np.full((max(len(tile) for tile in tiles), width, 3), 255, np.uint8)
    left = 0
    for tile in tiles:
        row[: len(tile), left : left + tile.shape[1]] = tile
        left += tile.shape[1]
    return row


def save_png(picture: Picture, path: Path) -> None:
    """Write a picture; the file appears complete or not at all."""
    ok, data = cv2.imencode(".png", picture)
    assert ok
    with atomic(path) as file:
        file.write(data.tobytes())


def _words(sample: Sample, i: int, flags: Flag, names: Sequence[str]) -> str:
    class_id = int(sample.classes[i])
    words = [names[class_id] if class_id >= 0 else "any"]
    if sample.scores is not None:
        words.append(f"{sample.scores[i]:.2f}")
    words += [flag.name.lower() for flag in Flag if flag.name and flag & flags]
    return " ".join(words)


def _eight_bit(pixels: NDArray[Any]) -> Picture:
    return np.asarray(pixels >> 8 if pixels.dtype == np.uint16 else pixels, np.uint8)


def _tile(sample: Sample, names: Sequence[str], side: int) -> Picture:
    picture = draw(sample, names, captions=True)
    footer = 18
    scale = min(side / picture.shape[1], side / picture.shape[0])
    size = max(1, int(picture.shape[1] * scale)), max(1, int(picture.shape[0] * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    tile: Picture = np.full((size[1] + footer, side, 3), 255, np.uint8)
    left = (side - size[0]) // 2
    tile[: size[1], left : left + size[0]] = small
    text = sample.name if sample.status is Status.ANNOTATED else f"{sample.name} [{sample.status.value}]"
    text = text.encode("ascii", "replace").decode()
    cv2.putText(tile, text[-side // 7 :], (3, size[1] + 12), _FONT, 0.38, (0, 0, 0), 1, cv2.LINE_AA)
    return tile
