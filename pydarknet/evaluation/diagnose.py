# SPDX-License-Identifier: Apache-2.0
"""Numbers that can hardly be right: a mAP of nearly zero, with its usual causes looked into."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pydarknet.engine._core import NetworkInfo
    from pydarknet.evaluation.evaluation import Evaluation

HARDLY = 0.05  # a mAP that is as good as none
SMALL = 8  # pixels of the network's input below which an object is hard to find
FEW = 100 * 64  # images seen in a training that has hardly begun


def doubts(evaluation: Evaluation, info: NetworkInfo) -> list[str]:
    """Why the mAP is below 5 %; nothing if it is not, or if there is nothing to find.

    Args:
        evaluation: the numbers.
        info: of the network that was measured.

    Returns:
        A headline, then a line for each usual cause and what was found there; ``!`` marks the likely ones.
    """
    columns = evaluation.columns
    if evaluation.map50 >= HARDLY or columns.aside.all():
        return []
    count = int((~columns.aside).sum())
    return [
        f"mAP is {100 * evaluation.map50:.2f} %: hardly any of {count} objects is found. The usual causes:",
        _mark(*_labels(evaluation)),
        _mark(*_classes(evaluation)),
        _mark(*_weights(info)),
        _mark(*_confidences(evaluation)),
        _mark(*_sizes(evaluation, info)),
    ]


def _mark(likely: bool, text: str) -> str:
    return f"{'!' if likely else ' '} {text}"


def _labels(evaluation: Evaluation) -> tuple[bool, str]:
    columns = evaluation.columns
    labelled = len(np.unique(columns.truth_image[~columns.aside]))
    return labelled < columns.images / 2, f"labels: {labelled} of {columns.images} images have boxes"


def _classes(evaluation: Evaluation) -> tuple[bool, str]:
    """Objects that would be found if their class did not matter have the wrong ids."""
    from pydarknet.evaluation.columns import Columns, Judged
    from pydarknet.evaluation.matching import point

    one_class = [
        Judged(i.boxes, i.scores, np.zeros_like(i.classes), i.truths, np.zeros_like(i.truth_classes))
        for i in evaluation.images
    ]
    found = int(point(Columns.of(one_class), evaluation.iou_thresh).right.sum())
    right = int(evaluation.matches.right.sum())
    text = f"class ids: {found} objects have a detection, but only {right} with their class"
    return found > 2 * right, text


def _weights(info: NetworkInfo) -> tuple[bool, str]:
    loaded = f"weights: {info.layers_loaded} of {info.layers} layers are in the file"
    text = f"{loaded}, trained on {info.seen} images so far"
    return info.layers_loaded < info.layers or info.seen < FEW, text


def _confidences(evaluation: Evaluation) -> tuple[bool, str]:
    scores = evaluation.columns.scores
    if not len(scores):
        return True, "confidence: nothing was detected at all"
    return scores.max() < evaluation.thresh, f"confidence: {len(scores)} detections, up to {scores.max():.3f}"


def _sizes(evaluation: Evaluation, info: NetworkInfo) -> tuple[bool, str]:
    scales = np.array([(info.width / i.size[0], info.height / i.size[1]) for i in evaluation.images])
    columns = evaluation.columns
    sides = (columns.truths[:, 2:] - columns.truths[:, :2]) * scales[columns.truth_image]
    median = float(np.median(np.sqrt(sides.prod(1))))
    text = f"size: at {info.width}x{info.height} the objects are {median:.0f} pixels large (median)"
    return median < SMALL, text
