# SPDX-License-Identifier: Apache-2.0
"""How good detections are, by every protocol: what reports and pages are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from pydarknet.errors import ArgumentError
from pydarknet.metrics import coco, darknet_map
from pydarknet.metrics.coco import CocoReport
from pydarknet.metrics.darknet_map import MapReport
from pydarknet.metrics.images import ANY_CLASS, Columns, Judged
from pydarknet.metrics.matching import Matches, point


class Evaluation:
    """Detections of images judged by their truth; each part is computed when it is asked for first.

    Args:
        images: what was found and what is there.
        names: of the classes.
        thresh: confidence above which detections are counted as positives.
        iou_thresh: IoU above which a detection belongs to a truth, in Darknet's protocol.
        points: of recall in Darknet's protocol; 0 for the area under the curve.

    Raises:
        ArgumentError: a class id has no name.
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
        """What became of each detection at ``iou_thresh``."""
        return point(self.columns, self.iou_thresh)

    @cached_property
    def darknet(self) -> MapReport:
        """The report of ``darknet detector map``."""
        how = (self.thresh, self.iou_thresh, self.points)
        return darknet_map.report(self.columns, self.matches, self.names, *how)

    @cached_property
    def coco(self) -> CocoReport:
        """The numbers of pycocotools."""
        return coco.coco(self.columns, self.names)

    @property
    def map50(self) -> float:
        """Darknet's mAP at ``iou_thresh``, which ``_best`` is chosen by; 0..1."""
        return self.darknet.map

    @property
    def map5095(self) -> float:
        """COCO's AP, the mean over IoU 0.50 to 0.95; 0..1, 0 where there is nothing to find."""
        return _number(self.coco.map5095)

    @property
    def fitness(self) -> float:
        """0.1 AP50 + 0.9 AP, both COCO's, as YOLOv5 weighs them; 0..1."""
        return 0.1 * _number(self.coco.map50) + 0.9 * self.map5095

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values; what cannot be measured is None."""
        report = self.darknet
        per_class = zip(
            report.classes, self.coco.class_ap, self.coco.precision[0, 0], self._truths, strict=True
        )
        found: dict[str, Any] = _plain(
            {
                "protocol": "darknet",
                "thresh": self.thresh,
                "iou_thresh": self.iou_thresh,
                "points": self.points,
                "images": len(self.images),
                "truths": report.truths,
                "detections": report.detections,
                "map50": self.map50,
                "map5095": self.map5095,
                "fitness": self.fitness,
                "precision": report.precision,
                "recall": report.recall,
                "f1": report.f1,
                "tp": report.tp,
                "fp": report.fp,
                "fn": report.fn,
                "average_iou": report.average_iou,
                "coco": self.coco.stats,
                "classes": [
                    {
                        "name": c.name,
                        "truths": truths,
                        "ap": c.ap,
                        "tp": c.tp,
                        "fp": c.fp,
                        "coco_ap50": ap50,
                        "coco_ap": ap,
                    }
                    for c, ap, ap50, truths in per_class
                ],
            }
        )
        return found

    @cached_property
    def _truths(self) -> list[int]:
        classes = self.columns.truth_classes[~self.columns.aside]
        return [int(n) for n in np.bincount(classes, minlength=len(self.names))]

    def text(self) -> str:
        """A table for a console."""
        width = max([len("all"), *map(len, self.names)])
        table = self.to_dict()
        rows = [f"{'class':{width}} {'truths':>7} {'AP':>7} {'AP50-95':>7} {'TP':>7} {'FP':>7}"]
        whole = {**table, "name": "all", "ap": table["map50"], "coco_ap": table["map5095"]}
        for row in [*table["classes"], whole]:
            wide = math.nan if row["coco_ap"] is None else row["coco_ap"]
            rows.append(
                f"{row['name']:{width}} {row['truths']:7} {row['ap']:7.4f} {wide:7.4f} "
                f"{row['tp']:7} {row['fp']:7}"
            )
        return "\n".join(rows)


def _number(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def _plain(value: Any) -> Any:
    """JSON values: numbers of numpy become Python's, nan becomes None."""
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
