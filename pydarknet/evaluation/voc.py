# SPDX-License-Identifier: Apache-2.0
"""Average precision as the development kit of PASCAL VOC defines it, at any IoU.

http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html; unlike there, boxes have continuous
coordinates: VOC counts whole pixels (the width of a box is xmax - xmin + 1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydarknet.evaluation.average_precision import class_precisions
from pydarknet.evaluation.columns import Columns, Judged
from pydarknet.evaluation.matching import point


@dataclass(frozen=True)
class VocReport:
    """Result of the evaluation.

    Attributes:
        classes: average precision by name, 0..1; nan where there are no truths.
        iou_thresh: smallest IoU of a match.
        points: 11 as in 2007, 0 for the area under the curve as since 2010, or another number of points.
    """

    classes: dict[str, float]
    iou_thresh: float
    points: int

    @property
    def map(self) -> float:
        """Mean over the classes that have truths; nan if none has."""
        known = [ap for ap in self.classes.values() if ap == ap]
        return sum(known) / len(known) if known else float("nan")


def voc(
    images: Iterable[Judged] | Columns, names: Sequence[str], iou_thresh: float = 0.5, points: int = 0
) -> VocReport:
    """Evaluate stored detections; one that points to a difficult truth is neither right nor wrong.

    Args:
        images: detections and truth.
        names: of the classes.
        iou_thresh: smallest IoU of a match.
        points: see :class:`VocReport`.
    """
    columns = Columns.of(images)
    found = class_precisions(columns, point(columns, iou_thresh, voc=True), len(names), points)
    truths = columns.positives(len(names))
    values = [ap if count else float("nan") for ap, count in zip(found, truths, strict=True)]
    return VocReport(dict(zip(names, values, strict=True)), iou_thresh, points)
