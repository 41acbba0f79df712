# SPDX-License-Identifier: Apache-2.0
"""Confusion matrix of the classes and the background, by YOLOv5's rule."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pydarknet.evaluation.columns import Columns, Floats, Judged
from pydarknet.evaluation.matching import best_of_each

BACKGROUND = "background"


@dataclass(frozen=True, eq=False)
class Confusion:
    """Result of the evaluation.

    Attributes:
        names: of the classes, and :data:`BACKGROUND` at the end.
        counts: (names, names) by detected class (row) and true class (column): the background's column has
            detections of nothing, its row has truths that were not found.
        thresh: confidence above which detections count.
        iou_thresh: IoU above which a detection belongs to a truth.
    """

    names: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    thresh: float
    iou_thresh: float

    @property
    def shares(self) -> Floats:
        """(names, names) counts divided by the sum of their column: results of the truths of each class."""
        sums = self.counts.sum(0)
        return np.asarray(self.counts / np.maximum(sums, 1))

    def mistakes(self, count: int = 10) -> list[tuple[str, str, int]]:
        """Most frequent confusions, as (detected class, true class, count), without the background."""
        inner = self.counts[:-1, :-1] * (1 - np.eye(len(self.names) - 1, dtype=np.int64))
        order = np.argsort(-inner, axis=None, kind="stable")[:count]
        places = zip(*np.unravel_index(order, inner.shape), strict=True)
        return [(self.names[i], self.names[j], int(inner[i, j])) for i, j in places if inner[i, j]]

    def csv(self) -> str:
        """The counts as a table of comma-separated values, with a row and a column of names."""
        rows: list[list[Any]] = [["detected \\ true", *self.names]]
        rows += [[name, *row] for name, row in zip(self.names, self.counts.tolist(), strict=True)]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue()


def confusion(
    images: Iterable[Judged] | Columns, names: Sequence[str], thresh: float = 0.25, iou_thresh: float = 0.45
) -> Confusion:
    """Count confusions.

    Of all pairs with enough overlap, whatever their classes, each detection keeps the truth that it overlaps
    most, then each truth keeps the detection that overlaps it most.  Detections that are left over and
    overlap a truth set aside are not counted.

    Args:
        images: detections and truth.
        names: of the classes.
        thresh: confidence above which detections count.
        iou_thresh: IoU above which a detection belongs to a truth.
    """
    columns = Columns.of(images)
    last = len(names)
    positive = columns.scores > thresh
    pairs = columns.pairs_across(positive)
    pairs = pairs[pairs.overlap > iou_thresh]
    aside = columns.aside[pairs.truth]
    kept = best_of_each(best_of_each(pairs[~aside]), "truth")
    missed = ~columns.aside
    missed[kept.truth] = False
    wrong = positive.copy()
    wrong[kept.detection] = False
    wrong[pairs.detection[aside]] = False
    counts = np.zeros((last + 1, last + 1), np.int64)
    np.add.at(counts, (columns.classes[kept.detection], columns.truth_classes[kept.truth]), 1)
    counts[last, :last] = np.bincount(columns.truth_classes[missed], minlength=last)
    counts[:last, last] = np.bincount(columns.classes[wrong], minlength=last)
    return Confusion((*names, BACKGROUND), counts, thresh, iou_thresh)
