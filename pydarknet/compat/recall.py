# SPDX-License-Identifier: Apache-2.0
"""Recall of boxes regardless of class, as ``darknet detector recall`` counts it.

It measures the boxes of a head without its classes: the best overlap of every true box with any proposal,
which is a box with an objectness above 0.001 after NMS by objectness.
"""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pydarknet.engine.boxes import to_corners
from pydarknet.engine.images import Pixels
from pydarknet.evaluation.columns import Columns, Judged

OBJECTNESS, NMS, IOU = 0.001, 0.4, 0.5


class Proposer:
    """A network that returns boxes by objectness, unlike :class:`pydarknet.Network`.

    Args:
        cfg: path of the cfg.
        weights: path of the weights.
        device: as in :class:`pydarknet.Network`.

    Raises:
        DarknetError: one of them cannot be loaded.
    """

    def __init__(self, cfg: str | Path, weights: str | Path, device: str = "auto") -> None:
        from pydarknet.compat._library import lib, path_bytes

        self._lib = lib
        if device != "auto":
            lib.cuda_set_device(-1 if device == "cpu" else int(device.partition(":")[2] or 0))
        self._network = lib.load_network_custom(path_bytes(cfg), path_bytes(weights), 0, 1)

    def __call__(self, image: Pixels) -> npt.NDArray[np.float64]:
        """Corners (n, 4) of the proposals, relative to the image.

        Args:
            image: (h, w, c) uint8, blue first.
        """
        from pydarknet.compat._helpers import array_to_image

        planes, _memory = array_to_image(image[:, :, ::-1])
        self._lib.network_predict_image(self._network, planes)
        count = ctypes.c_int()
        boxes = self._lib.get_network_boxes(
            self._network, 1, 1, OBJECTNESS, 0.5, None, 1, ctypes.byref(count), 0
        )
        try:
            self._lib.do_nms_obj(boxes, count.value, 1, NMS)
            kept = [boxes[i].bbox for i in range(count.value) if boxes[i].objectness > OBJECTNESS]
            centred = np.array([(b.x, b.y, b.w, b.h) for b in kept], float).reshape(-1, 4)
        finally:
            self._lib.free_detections(boxes, count.value)
        return to_corners(centred)

    def close(self) -> None:
        """Free the network."""
        self._lib.free_network_ptr(self._network)


@dataclass
class Recall:
    """Counts over the images so far.

    Attributes:
        images: number of images.
        proposals: number of proposed boxes.
        truths: number of true boxes.
        correct: truths that a proposal overlaps by more than 0.5.
        overlap: sum of the best overlap of each truth.
    """

    images: int = 0
    proposals: int = 0
    truths: int = 0
    correct: int = 0
    overlap: float = 0.0

    def add(self, proposals: npt.NDArray[np.float64], truths: npt.NDArray[np.float64]) -> None:
        """Count one image; proposals and truths are corners (n, 4) in the same unit."""
        self.images += 1
        self.proposals += len(proposals)
        self.truths += len(truths)
        one_class = [np.zeros(len(boxes), np.int64) for boxes in (proposals, truths)]
        scores = np.ones(len(proposals))
        pairs = Columns.of([Judged(proposals, scores, one_class[0], truths, one_class[1])]).pairs
        best = np.zeros(len(truths))
        np.maximum.at(best, pairs.truth, pairs.overlap)
        self.overlap += float(best.sum())
        self.correct += int((best > IOU).sum())

    def line(self) -> str:
        """Darknet's line for the images so far."""
        mean = 100 * self.overlap / self.truths if self.truths else math.nan
        recall = 100 * self.correct / self.truths if self.truths else math.nan
        return (
            f"{self.images - 1:5d} {self.correct:5d} {self.truths:5d}\tRPs/Img: "
            f"{self.proposals / self.images:.2f}\tIOU: {mean:.2f}%\tRecall:{recall:.2f}%"
        )
