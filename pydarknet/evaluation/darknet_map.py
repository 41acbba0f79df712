# SPDX-License-Identifier: Apache-2.0
"""Mean average precision as ``darknet detector map`` computes and prints it, to the digit.

Its peculiarities are kept: at the confidence threshold a detection counts as false if an earlier one *in list
order*, however weak, points to the same truth; the average IoU divides by all detections; classes without
any truth count as 0 in the mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pydarknet.evaluation.average_precision import class_precisions
from pydarknet.evaluation.columns import Columns, Judged
from pydarknet.evaluation.matching import Matches, point

#: Scores that Darknet evaluates, and its threshold of suppression.
SCORE, NMS = 0.005, 0.45


@dataclass(frozen=True)
class ClassScore:
    """One class: average precision 0..1, and true and false positives at the threshold."""

    name: str
    ap: float
    tp: int
    fp: int


@dataclass(frozen=True)
class MapReport:
    """Result of the evaluation.

    Attributes:
        classes: by class id.
        detections: number of (box, class) pairs that were evaluated.
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
        """Fraction of the positives that are true, 0..1; nan if there are none."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Fraction of the truths that were found, 0..1; nan if there are none."""
        return _ratio(self.tp, self.truths)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return _ratio(2 * self.precision * self.recall, self.precision + self.recall)

    def text(self) -> str:
        """The report as Darknet prints it."""
        return f"\n calculation mAP (mean average precision)...\n\n{self.counts}\n{self.table}"

    @property
    def counts(self) -> str:
        """Darknet's line with the numbers of detections and truths."""
        return f" detections_count = {self.detections}, unique_truth_count = {self.truths}  "

    @property
    def table(self) -> str:
        """Darknet's lines about the classes and their mean."""
        lines = [
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


def darknet_map(
    images: Iterable[Judged] | Columns,
    names: Sequence[str],
    thresh: float = 0.25,
    iou_thresh: float = 0.5,
    points: int = 0,
) -> MapReport:
    """Evaluate stored detections.

    Truths set aside (difficult ones and crowds) need not be found, and detections that overlap only them are
    not counted; Darknet counts those as false in the numbers at the threshold.

    Args:
        images: detections and truth.
        names: of the classes.
        thresh: confidence above which detections are counted as positives.
        iou_thresh: IoU above which a detection belongs to a truth.
        points: 0 for the area under the curve of precision, 11 or 101 for the mean over points of recall.
    """
    columns = Columns.of(images)
    return report(columns, point(columns, iou_thresh), names, thresh, iou_thresh, points)


def report(
    columns: Columns, matches: Matches, names: Sequence[str], thresh: float, iou_thresh: float, points: int
) -> MapReport:
    """:func:`darknet_map` of detections that are matched already."""
    count = len(names)
    first = np.zeros(len(columns.scores), bool)
    first[np.unique(matches.truth, return_index=True)[1]] = True
    true = (matches.truth >= 0) & first
    strong = (columns.scores > thresh) & ~matches.aside
    tp = np.bincount(columns.classes[strong & true], minlength=count)
    fp = np.bincount(columns.classes[strong & ~true], minlength=count)
    aps = class_precisions(columns, matches, count, points)
    iou_sum = float(matches.overlap[strong & true].sum())
    average = iou_sum / int(tp.sum() + fp.sum()) if tp.sum() + fp.sum() else 0.0
    rows = (ClassScore(n, a, int(t), int(f)) for n, a, t, f in zip(names, aps, tp, fp, strict=True))
    return MapReport(
        tuple(rows),
        len(columns.scores),
        int(columns.positives(count).sum()),
        average,
        thresh,
        iou_thresh,
        points,
    )
