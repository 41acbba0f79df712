# SPDX-License-Identifier: Apache-2.0
"""Evaluation of detections by every protocol; reports and pages are made from it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pydarknet.errors import ArgumentError
from pydarknet.evaluation import coco, darknet_map, serialise, slices
from pydarknet.evaluation.calibration import Calibration, calibration
from pydarknet.evaluation.coco import CocoReport
from pydarknet.evaluation.columns import ANY_CLASS, Bools, Columns, Judged
from pydarknet.evaluation.confusion import Confusion, confusion
from pydarknet.evaluation.curves import Curves, curves
from pydarknet.evaluation.darknet_map import MapReport
from pydarknet.evaluation.matching import Matches, point
from pydarknet.evaluation.saturation import Saturation, saturation
from pydarknet.evaluation.slices import Slice
from pydarknet.evaluation.voc import VocReport, voc
from pydarknet.system import html

HALF = 0.5  # the IoU in the name of map50


@dataclass(frozen=True, eq=False)
class Verdict:
    """Results of the boxes of one image at the confidence threshold.

    Attributes:
        image: number of the image, from 0.
        judged: the image itself.
        right: (n,) detections that found a truth.
        wrong: (n,) detections that found nothing, or a truth that a more confident one found.
        missed: (m,) truths that were not found.
    """

    image: int
    judged: Judged
    right: Bools
    wrong: Bools
    missed: Bools

    @property
    def errors(self) -> int:
        """False positives and misses."""
        return int(self.wrong.sum() + self.missed.sum())


class Evaluation:
    """Evaluation of detections against the truth; each part is computed when it is first used.

    Attributes:
        images: detections and truth.
        names: of the classes.
        thresh: confidence above which detections are counted as positives.
        iou_thresh: IoU above which a detection belongs to a truth, except in COCO's protocol.
        points: of recall in Darknet's protocol; 0 for the area under the curve.

    Raises:
        ArgumentError: a class id has no name, or a setting is out of range.
    """

    def __init__(
        self,
        images: Sequence[Judged],
        names: Sequence[str],
        *,
        thresh: float = 0.25,
        iou_thresh: float = 0.5,
        points: int = 0,
    ) -> None:
        self.images, self.names = tuple(images), tuple(names)
        self.thresh, self.iou_thresh, self.points = thresh, iou_thresh, points
        if not (0 <= thresh <= 1 and 0 < iou_thresh < 1):
            raise ArgumentError(
                f"thresh is {thresh}, expected 0 to 1; iou_thresh is {iou_thresh}, expected between 0 and 1"
            )
        if points < 0 or points == 1:
            raise ArgumentError(f"points is {points}, expected 0, 11, 101 or another number from 2")
        for image in self.images:
            self._check(image)

    def _check(self, image: Judged) -> None:
        for what, low, classes in (
            ("detection", 0, image.classes),
            ("truth", ANY_CLASS, image.truth_classes),
        ):
            if len(classes) and not low <= classes.min() <= classes.max() < len(self.names):
                wrong = classes[(classes < low) | (classes >= len(self.names))][0]
                raise ArgumentError(
                    f"{image.path or 'an image'} has a {what} of class {wrong}, but there are "
                    f"{len(self.names)} names"
                )

    @cached_property
    def columns(self) -> Columns:
        """All detections and truths in columns."""
        return Columns.of(self.images)

    @cached_property
    def matches(self) -> Matches:
        """Result of each detection at ``iou_thresh``: the matching of Darknet's average precision."""
        return point(self.columns, self.iou_thresh)

    # -- protocols

    @cached_property
    def darknet(self) -> MapReport:
        """The report of ``darknet detector map``."""
        how = (self.thresh, self.iou_thresh, self.points)
        return darknet_map.report(self.columns, self.matches, self.names, *how)

    @cached_property
    def coco(self) -> CocoReport:
        """The numbers of pycocotools."""
        return coco.coco(self.columns, self.names)

    def voc(self, points: int = 0, iou_thresh: float = 0.5) -> VocReport:
        """VOC's average precision: with 11 points as in 2007, with 0 as since 2010."""
        return voc(self.columns, self.names, iou_thresh, points)

    @cached_property
    def map50(self) -> float:
        """Darknet's mAP at IoU 0.5, whatever ``iou_thresh`` is, 0..1; it chooses the ``_best`` weights."""
        if self.iou_thresh == HALF:
            return self.darknet.map
        return darknet_map.darknet_map(self.columns, self.names, self.thresh, HALF, self.points).map

    @property
    def map5095(self) -> float:
        """COCO's AP, the mean over IoU 0.50 to 0.95; 0..1, 0 where there is nothing to find."""
        return float(np.nan_to_num(self.coco.map5095))

    @property
    def fitness(self) -> float:
        """0.1 AP50 + 0.9 AP, both COCO's, with the weights of YOLOv5; 0..1."""
        return 0.1 * float(np.nan_to_num(self.coco.map50)) + 0.9 * self.map5095

    # -- details

    @cached_property
    def confusion(self) -> Confusion:
        """Confusion matrix above ``thresh``; IoU 0.45 as in YOLOv5."""
        return confusion(self.columns, self.names, self.thresh)

    @cached_property
    def curves(self) -> Curves:
        """Precision, recall and F1 over confidence, and precision over recall."""
        return curves(self.columns, self.matches, self.names)

    @cached_property
    def calibration(self) -> Calibration:
        """Confidence compared with the fraction of detections that are right."""
        judged = ~self.matches.aside
        return calibration(self.columns.scores[judged], self.matches.right[judged])

    @cached_property
    def slices(self) -> dict[str, tuple[Slice, ...]]:
        """By ``"size"`` of the objects and by number of ``"objects"`` in an image."""
        what = (self.columns, self.matches, self.thresh)
        return {"size": slices.by_size(*what), "objects": slices.by_objects(*what)}

    @cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Result of each box of each image."""
        columns = self.columns
        strong = (columns.scores > self.thresh) & ~self.matches.aside
        missed = ~columns.aside & ~self.matches.found(columns, self.thresh)
        edges = np.cumsum([len(image.scores) for image in self.images])[:-1]
        parts = [
            np.split(strong & self.matches.right, edges),
            np.split(strong & ~self.matches.right, edges),
            np.split(missed, np.cumsum([len(image.truths) for image in self.images])[:-1]),
        ]
        if not self.images:
            return ()
        return tuple(Verdict(i, *row) for i, row in enumerate(zip(self.images, *parts, strict=True)))

    def worst(self, count: int = 10) -> list[Verdict]:
        """The images with the most errors, false positives above ``thresh`` and misses; none without any.

        Of images with equally many errors, the one with more errors per box is first, then the earlier.
        """

        def badness(verdict: Verdict) -> tuple[int, float, int]:
            boxes = verdict.errors + int(verdict.right.sum())
            return -verdict.errors, -verdict.errors / max(boxes, 1), verdict.image

        return sorted((v for v in self.verdicts if v.errors), key=badness)[:count]

    @cached_property
    def saturation(self) -> Saturation:
        """Signs of a network that calls everything an object, and the reason if it does."""
        return saturation(self.columns, self.matches)

    # -- output

    def to_dict(self) -> dict[str, Any]:
        """The whole evaluation as JSON values, see :func:`pydarknet.evaluation.serialise.to_dict`."""
        return serialise.to_dict(self)

    def _repr_html_(self) -> str:
        """The table of :meth:`text` and the chart of precision and recall, for notebooks."""
        from pydarknet.evaluation import plots
        from pydarknet.system import figure_files

        summary = f"mAP@0.5 {self.map50:.2%}, mAP@0.5:0.95 {self.map5095:.2%}, {len(self.images)} images"
        chart = io.BytesIO()
        figure_files.save(plots.precision_recall(self), chart)
        image = html.png(chart.getvalue(), "precision over recall of each class")
        return html.titled(summary, html.lines(self.text()), image)

    def text(self) -> str:
        """A table for a console."""
        return serialise.text(self)
