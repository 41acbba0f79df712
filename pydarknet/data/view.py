# SPDX-License-Identifier: Apache-2.0
"""Images with their boxes drawn, and contact sheets of many; no window needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pydarknet.data.dataset import SET_ASIDE, Flag, Sample, Status
from pydarknet.engine import opencv
from pydarknet.engine.draw import Colour, class_colour, draw_label
from pydarknet.engine.images import load
from pydarknet.errors import DataError

Picture = NDArray[np.uint8]  #: (height, width, 3) BGR, as in OpenCV

_FONT, _FOOTER = cv2.FONT_HERSHEY_SIMPLEX, 18


def draw(sample: Sample, names: Sequence[str], *, captions: bool = True, fit: int | None = None) -> Picture:
    """The image of a sample with its boxes.

    Args:
        sample: the sample; boxes set aside get thin lines.
        names: class names.
        captions: write the class above each box, and why it is set aside if it is.
        fit: resize the image first, so that its longer side has this many pixels.

    Raises:
        DataError: if the image cannot be read.
    """
    picture, scale = _load(sample.image, fit)
    height, width = picture.shape[:2]
    line = max(1, round((width + height) / 2 / 300))
    boxes = np.rint(sample.boxes * scale).astype(int)
    # From edges to the first and last pixel inside.
    first = np.minimum(boxes[:, :2], (width - 1, height - 1))
    last = np.maximum(first, boxes[:, 2:] - 1)
    # Small boxes last, so that large ones do not hide them.
    order = np.argsort(-np.prod(last - first, axis=1), kind="stable").tolist()
    for i in order:
        thickness = line if sample.target[i] else 1
        cv2.rectangle(picture, first[i].tolist(), last[i].tolist(), _colour(sample, i), thickness)
    taken: list[tuple[int, int, int, int]] = []
    for i in order if captions else ():
        x, y = first[i].tolist()
        draw_label(picture, _words(sample, i, names), (x, y), _colour(sample, i), line, taken)
    return picture


def contact_sheet(
    samples: Iterable[Sample],
    names: Sequence[str],
    *,
    columns: int = 4,
    tile: int = 320,
    captions: bool = True,
) -> Picture:
    """A contact sheet: many images with their boxes, each with its name and status.

    Args:
        samples: the samples.
        names: class names.
        columns: images side by side.
        tile: side of the square that an image is fitted into, in pixels.
        captions: as for :func:`draw`.

    Raises:
        DataError: if there is no sample, or an image cannot be read.
    """
    tiles = [_tile(sample, names, tile, captions) for sample in samples]
    if not tiles:
        raise DataError("no images to draw")
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


def _colour(sample: Sample, i: int) -> Colour:
    return class_colour(int(sample.classes[i]))


def _words(sample: Sample, i: int, names: Sequence[str]) -> str:
    class_id, flags = int(sample.classes[i]), Flag(int(sample.flags[i]))
    words = [names[class_id] if class_id >= 0 else "any"]
    if sample.scores is not None:
        words.append(f"{sample.scores[i]:.2f}")
    words += [flag.name.lower() for flag in Flag if flag.name and flag & flags & SET_ASIDE]
    return " ".join(words)


def _load(path: Path, fit: int | None) -> tuple[Picture, float]:
    """The image with 8 bits per channel, and the factor it was resized by."""
    pixels = load(path)
    picture: Picture = np.array(pixels >> 8 if pixels.dtype == np.uint16 else pixels, np.uint8, order="C")
    if fit is None:
        return picture, 1.0
    height, width = picture.shape[:2]
    scale = fit / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=way), np.uint8), scale


def _tile(sample: Sample, names: Sequence[str], side: int, captions: bool) -> Picture:
    picture = draw(sample, names, fit=side, captions=captions)
    height, width = picture.shape[:2]
    tile: Picture = np.full((height + _FOOTER, side, 3), 255, np.uint8)
    left = (side - width) // 2
    tile[:height, left : left + width] = picture
    text = sample.name if sample.status is Status.ANNOTATED else f"{sample.name} [{sample.status.value}]"
    opencv.put_text(tile, text[-side // 7 :], (3, height + 12), 0.38, (0, 0, 0), 1, cv2.LINE_AA)
    return tile
