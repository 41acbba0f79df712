# SPDX-License-Identifier: Apache-2.0
"""Loss on the validation images, without augmentation and without an update.

It is comparable with the training loss, since it is composed in the same way, as if the images came in
mini-batches of the same size: sums over a mini-batch are divided by its images, and the box loss of
``iou_loss``, a mean over predictions, counts once for each mini-batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pydarknet import __version__
from pydarknet.cfg import CfgFile
from pydarknet.cfg.augmentation import AugmentConfig
from pydarknet.data.album import relative_boxes
from pydarknet.data.fingerprint import fingerprint
from pydarknet.evaluation.darknet_map import NMS, SCORE
from pydarknet.training import truth_boxes
from pydarknet.training.truth_boxes import Boxes

if TYPE_CHECKING:
    from pydarknet.data import Sample
    from pydarknet.data.splits import Splits
    from pydarknet.engine._trainer import LossReport
    from pydarknet.engine.detections import Detections
    from pydarknet.engine.images import Pixels
    from pydarknet.engine.network import Network


@dataclass(frozen=True)
class ValidationLoss:
    """Losses per image, as in a training log.

    Attributes:
        loss: the cost: mean over the heads.
        class_loss: objectness and classes, sum over the heads.
        iou_loss: boxes, sum over the heads.
    """

    loss: float
    class_loss: float
    iou_loss: float


@dataclass
class _Head:
    summed: float = 0.0  # costs that grow with the images
    averaged: float = 0.0  # box loss of all assigned predictions, to be divided by their number
    count: int = 0
    class_loss: float = 0.0
    iou_loss: float = 0.0


class LossMeter:
    """Adds up the reports of single images.

    Args:
        cfg: of the network.
        mini: images of a mini-batch in training.
    """

    def __init__(self, cfg: CfgFile, mini: int) -> None:
        self.mini, self.images, self._config = mini, 0, AugmentConfig.of(cfg)
        self._averaging = {
            i for i, s in enumerate(cfg.layers) if s.type == "yolo" and s.text("iou_loss") != "mse"
        }
        self._heads: dict[int, _Head] = {}

    def detect(
        self, network: Network, pixels: Pixels, sample: Sample, score: float, nms: float
    ) -> Detections:
        """Detect as :meth:`pydarknet.Network.detect` does; the loss comes from the same forward pass."""
        boxes = relative_boxes(sample)
        config, size = self._config, (pixels.shape[1], pixels.shape[0])
        shown = table(
            boxes,
            size,
            (config.width, config.height),
            config.letter_box,
            config.max_boxes,
        )
        found, reports = network.examine(pixels, shown, score, nms)
        self.add(reports)
        return found

    def add(self, reports: Iterable[LossReport]) -> None:
        """Add the reports of one image."""
        self.images += 1
        for report in reports:
            head = self._heads.setdefault(report.layer, _Head())
            head.class_loss += report.class_loss
            head.iou_loss += report.iou_loss
            if report.layer in self._averaging:
                head.summed += report.class_loss
                head.averaged += (report.cost - report.class_loss) * max(report.count, 1)
                head.count += report.count
            else:
                head.summed += report.cost

    def result(self) -> ValidationLoss | None:
        """Losses of all images; None without an image."""
        heads = self._heads.values()
        if not self.images or not heads:
            return None
        costs = [h.summed / self.images + h.averaged / max(h.count, 1) / self.mini for h in heads]
        return ValidationLoss(
            sum(costs) / len(costs),
            sum(h.class_loss for h in heads) / self.images,
            sum(h.iou_loss for h in heads) / self.images,
        )


def table(
    boxes: Boxes, image: tuple[int, int], net: tuple[int, int], letter_box: bool, count: int
) -> npt.NDArray[np.float32]:
    """Truth table of a whole image, in the coordinates of the input of the network.

    Args:
        boxes: (n, 5) relative to the image.
        image: its width and height.
        net: width and height of the network's input.
        letter_box: the image keeps its aspect ratio and is padded.
        count: rows of the table, which is (count, 6).
    """
    shown = boxes[~truth_boxes.outside(boxes)][:count]
    scale, shift = (1.0, 1.0), (0.0, 0.0)
    if letter_box:
        inside = _inside(image, net)
        scale = (net[0] / inside[0], net[1] / inside[1])
        shift = (-((net[0] - inside[0]) // 2) / net[0], -((net[1] - inside[1]) // 2) / net[1])
    moved = truth_boxes.transform(shown, scale, shift, flip=False)
    return truth_boxes.packed(moved[truth_boxes.visible(moved, net)], count)


def _inside(image: tuple[int, int], net: tuple[int, int]) -> tuple[int, int]:
    """Width and height of an image inside its letter box, in whole pixels as in the engine."""
    if net[0] / image[0] < net[1] / image[1]:
        return net[0], max(image[1] * net[0] // image[0], 1)
    return max(image[0] * net[1] // image[1], 1), net[1]


def protocol(network: Network, sets: Splits) -> dict[str, Any]:
    """Protocol and data of the evaluation, to be kept beside ``_best``."""
    info = network.info
    return {
        "protocol": {
            "map50": "Darknet's detector map: area under the curve at IoU 0.5",
            "map5095": "COCO's: 101 points, mean over IoU 0.50 to 0.95",
            "score": SCORE,
            "nms": NMS,
            "width": info.width,
            "height": info.height,
            "letter_box": info.letter_box,
            "backend": info.backend,
            "precision": info.precision,
            "pydarknet": __version__,
        },
        "valid": {"images": len(sets.valid), "sha256": fingerprint(sets.valid)},
    }
