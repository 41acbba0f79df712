# SPDX-License-Identifier: Apache-2.0
"""Diagnosis of a mAP near 0: the usual causes, each checked against the evaluation."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pydarknet.evaluation.columns import Columns, Judged
from pydarknet.evaluation.matching import point

if TYPE_CHECKING:
    from pydarknet.data import Sample
    from pydarknet.engine.handle import NetworkInfo
    from pydarknet.evaluation.evaluation import Evaluation

LOW_MAP = 0.05  # a mAP below this is treated as a failure
SMALL = 8  # pixels at the network's input below which an object is hard to find
FEW_IMAGES = 100 * 64  # a network that has seen fewer than this in its training is not trained yet
FEW_ITERATIONS = 100

#: Whether this is likely the cause, and the result of the check.
Cause = tuple[bool, str]


@dataclass(frozen=True)
class TrainingFacts:
    """Facts about a running training that its evaluation does not contain.

    Attributes:
        train: training images.
        weights: description of the initial weights; begins with "none" for random ones.
        iteration: iterations done.
        max_batches: iterations planned.
        burn_in: iterations of the burn-in.
    """

    train: Sequence[Sample]
    weights: str
    iteration: int
    max_batches: int
    burn_in: int


def explain_low_map(evaluation: Evaluation, info: NetworkInfo) -> list[str]:
    """Explain a mAP below 5 %.

    Args:
        evaluation: of the network.
        info: of the same network.

    Returns:
        A headline, then the lines of :func:`usual_causes`; empty if the mAP is higher, or if the images
        contain no objects.
    """
    columns = evaluation.columns
    if evaluation.map50 >= LOW_MAP or columns.aside.all():
        return []
    count = int((~columns.aside).sum())
    head = f"mAP is {100 * evaluation.map50:.2f} %: almost none of the {count} objects are found."
    return [f"{head} The usual causes:", *usual_causes(evaluation, info)]


def usual_causes(
    evaluation: Evaluation, info: NetworkInfo, training: TrainingFacts | None = None
) -> list[str]:
    """Check the usual causes of a mAP near 0.

    Args:
        evaluation: of the network.
        info: of the same network.
        training: adds the causes that a running training can have.

    Returns:
        One line per cause; ``!`` at its beginning marks a likely one.
    """
    return [f"{'!' if likely else ' '} {text}" for likely, text in _causes(evaluation, info, training)]


def _causes(evaluation: Evaluation, info: NetworkInfo, training: TrainingFacts | None) -> Iterator[Cause]:
    yield _labels(evaluation)
    if training:
        yield _training_labels(training)
        yield _trained_classes(evaluation, training)
    yield _classes(evaluation)
    if training:
        yield _iterations(training)
        yield training.weights.startswith("none"), f"weights: {training.weights}"
    else:
        yield _weights(info)
    yield _confidences(evaluation)
    yield _sizes(evaluation, info)


def _labels(evaluation: Evaluation) -> Cause:
    columns = evaluation.columns
    labelled = len(np.unique(columns.truth_image[~columns.aside]))
    return labelled < columns.images / 2, f"labels: {labelled} of {columns.images} images have boxes"


def _training_labels(training: TrainingFacts) -> Cause:
    labelled, count = sum(bool(sample.target.any()) for sample in training.train), len(training.train)
    return labelled < count / 2, f"training labels: {labelled} of {count} images have boxes"


def _trained_classes(evaluation: Evaluation, training: TrainingFacts) -> Cause:
    """A class that only the validation images contain cannot be learned."""
    columns, names = evaluation.columns, evaluation.names
    trained = {int(c) for sample in training.train for c in sample.classes[sample.target]}
    measured = {int(c) for c in columns.truth_classes[~columns.aside]}
    text = f"training classes: {_listed(trained)} in training, {_listed(measured)} in validation"
    text += f", {len(names)} names"
    if outside := {c for c in trained if not 0 <= c < len(names)}:
        return True, f"{text}; without a name: {_listed(outside)}"
    if missing := measured - trained:
        return True, f"{text}; not in the training images: {_listed(missing)}"
    return not measured, text


def _listed(ids: Collection[int], most: int = 10) -> str:
    shown = ", ".join(map(str, sorted(ids)[:most])) or "none"
    return shown + (", ..." if len(ids) > most else "")


def _classes(evaluation: Evaluation) -> Cause:
    """Objects that are found if classes are ignored have the wrong class ids."""
    one_class = [
        Judged(i.boxes, i.scores, np.zeros_like(i.classes), i.truths, np.zeros_like(i.truth_classes))
        for i in evaluation.images
    ]
    found = int(point(Columns.of(one_class), evaluation.iou_thresh).right.sum())
    right = int(evaluation.matches.right.sum())
    return found > 2 * right, f"class ids: {found} objects have a detection, {right} of them with their class"


def _iterations(training: TrainingFacts) -> Cause:
    early = training.iteration < 2 * max(training.burn_in, FEW_ITERATIONS)
    text = (
        f"iterations: {training.iteration} of {training.max_batches} are done, burn-in is {training.burn_in}"
    )
    return early, text + ("; too early for a result" if early else "")


def _weights(info: NetworkInfo) -> Cause:
    loaded = f"weights: {info.layers_loaded} of {info.layers} layers are in the file"
    text = f"{loaded}, trained on {info.seen} images so far"
    return info.layers_loaded < info.layers or info.seen < FEW_IMAGES, text


def _confidences(evaluation: Evaluation) -> Cause:
    scores = evaluation.columns.scores
    if not len(scores):
        return True, "confidence: no detections"
    return scores.max() < evaluation.thresh, f"confidence: {len(scores)} detections, up to {scores.max():.3f}"


def _sizes(evaluation: Evaluation, info: NetworkInfo) -> Cause:
    scales = np.array([(info.width / i.size[0], info.height / i.size[1]) for i in evaluation.images])
    columns = evaluation.columns
    if not len(columns.truths):
        return True, f"size: the input is {info.width}x{info.height}; there are no boxes"
    sides = (columns.truths[:, 2:] - columns.truths[:, :2]) * scales[columns.truth_image]
    median = float(np.median(np.sqrt(sides.prod(1))))
    small = median < SMALL
    text = f"size: at {info.width}x{info.height} the objects are {median:.0f} pixels large (median)"
    return small, text + ("; use a larger input" if small else "")
