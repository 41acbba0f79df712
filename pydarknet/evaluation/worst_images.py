# SPDX-License-Identifier: Apache-2.0
"""Drawings of the worst images: truth on the left, detections on the right; errors are filled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pydarknet.engine import opencv
from pydarknet.engine.boxes import clip
from pydarknet.engine.draw import Colour, class_colour, draw_label, text_colour
from pydarknet.engine.images import load, save_image
from pydarknet.errors import DataError
from pydarknet.evaluation.columns import ANY_CLASS, Bools, Judged
from pydarknet.evaluation.evaluation import Verdict

Image = npt.NDArray[np.uint8]

MOST = 16  # images on one sheet
_TILE = 420  # longer side of an image, in pixels
_COLUMNS = {1: 1, 8: 2, 12: 3, MOST: 4}  # by the largest number of images
_GAP, _STRIP = 6, 24
_GREY, _WHITE, _INK = (150, 150, 150), (255, 255, 255), (30, 30, 30)
_FILL = 0.4  # opacity of a filling
_MOST_CAPTIONS = 12  # captions of an image; more would hide it


def save_sheet(
    verdicts: Sequence[Verdict], names: Sequence[str], path: str | Path, *, thresh: float = 0.25
) -> None:
    """Write up to 16 images as one, each twice: with its truth, and with its detections.

    Args:
        verdicts: of :attr:`Evaluation.verdicts <pydarknet.evaluation.evaluation.Evaluation.verdicts>` or its
            ``worst``; boxes must be in pixels, and only the first 16 are drawn.
        names: of the classes.
        path: ``.jpg`` or ``.png`` to write.
        thresh: confidence above which detections are drawn.

    Raises:
        DataError: there is no image, or one cannot be read.
        FileError: the file cannot be written.
    """
    if not verdicts:
        raise DataError("no image to draw")
    chosen = list(verdicts)[:MOST]
    tiles = [pair(one, names, thresh=thresh) for one in chosen]
    columns = next(count for most, count in _COLUMNS.items() if len(tiles) <= most)
    rows = [_beside(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    sheet = _below(rows)
    judged = [one.judged for one in chosen]
    shown = {int(c) for one in judged for c in (*one.truth_classes, *one.classes[one.scores > thresh])}
    save_image(Path(path), _below([_legend(sheet.shape[1], names, sorted(shown - {ANY_CLASS})), sheet]))


def pair(verdict: Verdict, names: Sequence[str], *, thresh: float = 0.25) -> Image:
    """One image twice, truth on the left and detections on the right, with a line of text below.

    Args:
        verdict: with the path of the image and boxes in pixels.
        names: of the classes.
        thresh: confidence above which detections are drawn.

    Raises:
        DataError: the image cannot be read.
    """
    import cv2

    image = verdict.judged
    canvas, scale = _fitted(image)
    aside = _flag(image.difficult, image) | _flag(image.crowd, image)
    truth = [names[c] if c != ANY_CLASS else "any" for c in image.truth_classes.tolist()]
    left = _drawn(canvas, image.truths * scale, image.truth_classes, verdict.missed, truth, aside)
    rows = np.flatnonzero(image.scores > thresh)
    found = [f"{names[image.classes[row]]} {image.scores[row]:.0%}" for row in rows]
    nobodys = ~(verdict.right | verdict.wrong)[rows]
    boxes = clip(image.boxes[rows], image.size) * scale  # those of an untrained network may be near infinite
    right = _drawn(canvas, boxes, image.classes[rows], verdict.wrong[rows], found, nobodys)
    both = _beside([left, right])
    strip = np.full((_STRIP, both.shape[1], 3), 255, np.uint8)
    words = (
        f"{Path(image.path).name}   {int((~aside).sum())} objects, {int(verdict.missed.sum())} missed, "
        f"{int(verdict.wrong.sum())} wrong"
    )
    opencv.put_text(strip, words, (4, 17), 0.45, _INK, 1, cv2.LINE_AA)
    return np.vstack([both, strip])


def _flag(flags: Bools | None, image: Judged) -> Bools:
    return np.zeros(len(image.truths), bool) if flags is None else flags


def _fitted(image: Judged) -> tuple[Image, float]:
    """The image, resized to the tile, and the factor from the unit of its boxes."""
    import cv2

    pixels = load(image.path)
    bytes_ = pixels >> 8 if pixels.dtype == np.uint16 else pixels
    height, width = bytes_.shape[:2]
    scale = _TILE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    fitted = cv2.resize(bytes_, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return np.asarray(fitted, np.uint8), size[0] / image.size[0]


def _drawn(
    canvas: Image,
    boxes: npt.NDArray[np.floating],
    classes: npt.NDArray[np.integer],
    bad: Bools,
    words: Sequence[str],
    aside: Bools,
) -> Image:
    """A copy of the image with boxes: filled and thick if wrong, grey if set aside."""
    import cv2

    height, width = canvas.shape[:2]
    corners = np.rint(clip(boxes, (width - 1, height - 1))).astype(int).tolist()
    colours: list[Colour] = [
        _GREY if off else class_colour(int(label)) for label, off in zip(classes, aside, strict=True)
    ]
    filled = canvas.copy()
    for (x1, y1, x2, y2), colour, wrong in zip(corners, colours, bad, strict=True):
        if wrong:
            cv2.rectangle(filled, (x1, y1), (x2, y2), colour, cv2.FILLED)
    drawn = np.asarray(cv2.addWeighted(filled, _FILL, canvas, 1 - _FILL, 0), np.uint8)
    for (x1, y1, x2, y2), colour, wrong in zip(corners, colours, bad, strict=True):
        cv2.rectangle(drawn, (x1, y1), (x2, y2), colour, 2 if wrong else 1)
    taken: list[tuple[int, int, int, int]] = []
    for row in _captioned(corners, bad):
        draw_label(drawn, words[row], tuple(corners[row][:2]), colours[row], 1, taken)
    return drawn


def _captioned(corners: Sequence[Sequence[int]], bad: Bools) -> list[int]:
    """Boxes that get a caption: all of few; of many only the wrong ones, the largest first."""
    rows = list(range(len(corners)))
    if len(rows) > _MOST_CAPTIONS:
        rows = [row for row in rows if bad[row]]
    rows.sort(key=lambda r: (corners[r][0] - corners[r][2]) * (corners[r][3] - corners[r][1]))
    return rows[:_MOST_CAPTIONS]


def _legend(width: int, names: Sequence[str], shown: Sequence[int]) -> Image:
    """A strip with the colours of the classes and the meaning of filled boxes."""
    import cv2

    strip = np.full((30, width, 3), 255, np.uint8)
    entries: list[tuple[str, Colour]] = [("left: truth, right: detections; filled: missed or wrong", _WHITE)]
    entries += [(names[label], class_colour(label)) for label in shown]
    left = _GAP
    for text, colour in entries:
        length, _, _ = opencv.text_size(text, 0.45)
        if left + length + 12 > width:
            break
        cv2.rectangle(strip, (left, 4), (left + length + 12, 25), colour, cv2.FILLED)
        ink = text_colour(colour)
        opencv.put_text(strip, text, (left + 6, 19), 0.45, ink, 1, cv2.LINE_AA)
        left += length + 12 + _GAP
    return strip


def _beside(images: Sequence[Image]) -> Image:
    height = max(len(image) for image in images)
    padded = [_padded(image, height, image.shape[1] + _GAP) for image in images]
    return np.hstack(padded)


def _below(images: Sequence[Image]) -> Image:
    width = max(image.shape[1] for image in images)
    return np.vstack([_padded(image, len(image), width) for image in images])


def _padded(image: Image, height: int, width: int) -> Image:
    """The image in the upper left corner of a white one."""
    out: Image = np.full((height, width, 3), _WHITE, np.uint8)
    out[: image.shape[0], : image.shape[1]] = image
    return out
