# SPDX-License-Identifier: Apache-2.0
"""Results made by hand, and videos read back, for the tests of outputs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from pydarknet import Detections
from pydarknet.streaming.file_sources import Frame
from pydarknet.streaming.result import Result

NAMES = ("dog", 'a "cat"', "bird")


def dets(
    *rows: tuple[float, ...], size: tuple[int, int] = (200, 100), tracks: list[int] | None = None
) -> Detections:
    """Detections from rows of x1, y1, x2, y2, confidence, class."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    track_id = None if tracks is None else np.array(tracks)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(int), NAMES, size, track_id)


def result(found: Detections, name: str = "in/a.jpg", index: int = 0, **frame: object) -> Result:
    image = np.zeros((found.image_size[1], found.image_size[0], 3), np.uint8)
    return Result(Frame(image, name, index, **{"still": True, **frame}), found)  # type: ignore[arg-type]


TWO = dets((10, 20, 50, 60, 0.9, 0), (-5, 10, 210, 110, 0.6, 1))
NOTHING = dets()


def frames_of(path: Path) -> list[np.ndarray]:
    capture, found = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        found.append(read[1])
    capture.release()
    return found
