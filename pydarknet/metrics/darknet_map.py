# SPDX-License-Identifier: Apache-2.0
"""Mean average precision as ``darknet detector map`` computes and prints it, to the digit.

Its odd habits are kept: at the confidence threshold a detection counts as false if an earlier one *in list
order*, however weak, points to the same truth; the average IoU divides by all detections; classes without
any truth count as 0 in the mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]
Bools = npt.NDArray[np.bool_]

#: Scores that Darknet evaluates, and its threshold of suppression.
SCORE, NMS = 0.005, 0.45


@dataclass(frozen=True)
class Judged:
    """One image: what was found and what is there; coordinates in any one unit.

    Attributes:
        boxes: (n, 4) corners of the detections, in the order in which Darknet lists them.
        scores: (n,) above :data:`SCORE`.
        classes: (n,) class ids.
        truths: (m, 4) corners.
        truth_classes: (m,) class ids.
    """

    boxes: Floats
    scores: Floats
    classes: Ints
    truths: Floats
    truth_classes: Ints


@dataclass(frozen=True)
class ClassScore:
    """One class: average precision 0..1, and true and false positives at the threshold."""

    name: str
    ap: float
    tp: int
    fp: int


@dataclass(frozen=True)
class MapReport:
    """The outcome.

    Attributes:
        classes: by class id.
        detections: number of (box, class) pairs that were judged.
        truths: number of true boxes.
        average_iou: sum of the IoU of true positives over all positives, 0..1.
        thresh: confidence from which the counts are taken.
        iou_thresh: IoU above which a detection belongs to a truth.
        points: 0 for the area under the curve, 11 or 101 for points of recall.
    """

    classes: tuple[ClassScore, ...]
    detections: int
    truths: int
    average_iou: float
    thresh: float = 0.25
    iou_thresh: float = 0.5
    points: int = 0

    @property
    def map(self) -> float:
        """Mean over all classes, those without truths included."""
        return sum(c.ap for c in self.classes) / len(self.classes) if self.classes else 0.0

    @property
    def tp(self) -> int:
        """True positives at the threshold."""
        return sum(c.tp for c in self.classes)

    @property
    def fp(self) -> int:
        """False positives at the threshold."""
        return sum(c.fp for c in self.classes)

    @property
    def fn(self) -> int:
        """Truths that were not found at the threshold."""
        return self.truths - self.tp

    @property
    def precision(self) -> float:
        """Of the positives, how many are true; nan if there are none."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Of the truths, how many were found; nan if there are none."""
        return _ratio(self.tp, self.truths)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return _ratio(2 * self.precision * self.recall, self.precision + self.recall)

    def text(self) -> str:
        """The report as Darknet prints it."""
        lines = [
            "\n calculation mAP (mean average precision)...",
            f"\n detections_count = {self.detections}, unique_truth_count = {self.truths}  ",
        ]
        lines += [
            f"class_id = {i}, name = {c.name}, ap = {100 * c.ap:2.2f}%   \t (TP = {c.tp}, FP = {c.fp}) "
            for i, c in enumerate(self.classes)
        ]
        how = (
            f"used {self.points} Recall-points"
            if self.points
            else "used Area-Under-Curve for each unique Recall"
        )
        lines += [
            f"\n for conf_thresh = {self.thresh:1.2f}, precision = {self.precision:1.2f}, "
            f"recall = {self.recall:1.2f}, F1-score = {self.f1:1.2f} ",
            f" for conf_thresh = {self.thresh:0.2f}, TP = {self.tp}, FP = {self.fp}, FN = {self.fn}, "
            f"average IoU = {100 * self.average_iou:2.2f} % ",
            f"\n IoU threshold = {100 * self.iou_thresh:2.0f} %, {how} ",
            f" mean average precision (mAP@{self.iou_thresh:0.2f}) = {self.map:f}, "
            f"or {100 * self.map:2.2f} % ",
        ]
        return "\n".join(lines)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def iou(a: Floats, b: Floats) -> Floats:
    """Intersection over union of each box of ``a`` with each of ``b``, (n, m)."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (a, b)]
    union = areas[0][:, None] + areas[1][None] - shared
    found: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=(shared > 0) & (union > 0))
    return found


def match(image: Judged, iou_thresh: float) -> tuple[Ints, Floats]:
    """For each detection the truth of its class that it overlaps most, -1 if none is above ``iou_thresh``;
    and that overlap."""
    if not len(image.boxes) or not len(image.truths):
        return np.full(len(image.boxes), -1), np.zeros(len(image.boxes))
    overlap = iou(image.boxes.astype(float), image.truths.astype(float))
    overlap[image.classes[:, None] != image.truth_classes[None]] = 0
    best = overlap.argmax(1)
    value = overlap[np.arange(len(best)), best]
    return np.where(value > iou_thresh, best, -1), value


def darknet_map(
    images: Iterable[Judged],
    names: Sequence[str],
    thresh: float = 0.25,
    iou_thresh: float = 0.5,
    points: int = 0,
) -> MapReport:
    """Judge stored detections.

    Args:
        images: what was found and what is there.
        names: of the classes.
        thresh: confidence above which detections are counted as positives.
        iou_thresh: IoU above which a detection belongs to a truth.
        points: 0 for the area under the curve of precision, 11 or 101 for the mean over points of recall.
    """
    count = len(names)
    tp, fp, positives = np.zeros(count, int), np.zeros(count, int), np.zeros(count, int)
    iou_sum, offset = 0.0, 0
    empty = (np.zeros(0, np.float32), np.zeros(0, int), np.zeros(0, int))
    columns: list[tuple[Floats, Ints, Ints]] = []
    for image in images:
        matched, value = match(image, iou_thresh)
        first = np.zeros(len(matched), bool)
        first[np.unique(matched, return_index=True)[1]] = True
        true = (matched >= 0) & first
        strong = image.scores > thresh
        tp += np.bincount(image.classes[strong & true], minlength=count)[:count]
        fp += np.bincount(image.classes[strong & ~true], minlength=count)[:count]
        iou_sum += float(value[strong & true].sum())
        positives += np.bincount(image.truth_classes, minlength=count)[:count]
        columns.append((image.scores, image.classes, np.where(matched >= 0, matched + offset, -1)))
        offset += len(image.truths)
    scores, classes, matches = (np.concatenate(c) for c in zip(empty, *columns, strict=True))
    aps = [
        average_precision(_ranked(scores, classes, matches, i), int(positives[i]), points)
        for i in range(count)
    ]
    rows = (ClassScore(n, a, int(t), int(f)) for n, a, t, f in zip(names, aps, tp, fp, strict=True))
    average = iou_sum / (tp.sum() + fp.sum()) if tp.sum() + fp.sum() else 0.0
    return MapReport(tuple(rows), len(scores), int(positives.sum()), average, thresh, iou_thresh, points)


def _ranked(scores: Floats, classes: Ints, matches: Ints, label: int) -> Bools:
    """Whether each detection of a class is right, from the surest down: the first to claim a truth is."""
    mine = classes == label
    order = np.argsort(-scores[mine], kind="stable")
    claimed = matches[mine][order]
    right = np.zeros(len(claimed), bool)
    right[np.unique(claimed, return_index=True)[1]] = True
    return np.asarray(right & (claimed >= 0))


def average_precision(right: Bools, positives: int, points: int = 0) -> float:
    """Average precision of ranked detections.

    Args:
        right: from the surest down, whether a detection found a truth.
        positives: number of truths.
        points: see :func:`darknet_map`.
    """
    if not positives or not len(right):
        return 0.0
    hits = np.cumsum(right)
    recall, precision = hits / positives, hits / np.arange(1, len(right) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    if points == 0:
        return float((np.diff(recall, prepend=0.0) * envelope).sum())
    at = np.searchsorted(recall, np.arange(points) / (points - 1) - 1e-12)
    return float(np.append(envelope, 0.0)[at].sum() / points)
