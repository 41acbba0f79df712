# SPDX-License-Identifier: Apache-2.0
"""Images in which crowds, posters and other regions set aside are blurred beyond recognition.

Plain Darknet cannot ignore a region: unlabelled objects in it are trained as background. A blurred region
shows no objects.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pydarknet.data.dataset import Sample

Pixels = NDArray[np.uint8]

_CELLS = 4  # a region is shrunk to this many pixels per side and grown again


def blurred(pixels: Pixels, sample: Sample) -> Pixels:
    """A copy of an image (h, w, 3), blue first, with boxes set aside blurred; targets are unchanged."""
    import cv2

    result: Pixels = pixels.copy()
    for x1, y1, x2, y2 in _pixel_boxes(sample.boxes[~sample.target]):
        small = cv2.resize(pixels[y1:y2, x1:x2], (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
        result[y1:y2, x1:x2] = cv2.resize(small, (x2 - x1, y2 - y1), interpolation=cv2.INTER_LINEAR)
    for x1, y1, x2, y2 in _pixel_boxes(sample.boxes[sample.target]):
        result[y1:y2, x1:x2] = pixels[y1:y2, x1:x2]
    return result


def _pixel_boxes(boxes: NDArray[np.float64]) -> list[list[int]]:
    low, high = np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])
    whole: list[list[int]] = np.concatenate([low, high], axis=1).astype(int).tolist()
    return whole
