# SPDX-License-Identifier: Apache-2.0
"""Which truth each detection points to, and which of those that point to one is right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pydarknet.metrics.images import Bools, Columns, Floats, Ints


@dataclass(frozen=True, eq=False)
class Matches:
    """What became of each detection.

    Attributes:
        truth: (n,) the truth of its class in its image that it overlaps most, -1 if none.
        overlap: (n,) IoU with that truth, 0 if there is none.
        right: (n,) whether it is the surest of those that point to its truth.
        aside: (n,) whether it is neither right nor wrong: it points to no truth but overlaps one set aside.
    """

    truth: Ints
    overlap: Floats
    right: Bools
    aside: Bools


def point(columns: Columns, iou_thresh: float) -> Matches:
    """Match detections as Darknet does: the overlap must exceed ``iou_thresh``."""
    pairs = columns.pairs[columns.pairs.overlap > iou_thresh]
    count = len(columns.scores)
    aside = columns.aside[pairs.truth]
    near = np.zeros(count, bool)
    near[pairs.detection[aside]] = True
    pairs = pairs[~aside]
    order = np.lexsort((pairs.truth, -pairs.overlap, pairs.detection))
    best = order[np.flatnonzero(np.diff(pairs.detection[order], prepend=-1))]
    truth, overlap = np.full(count, -1), np.zeros(count)
    truth[pairs.detection[best]] = pairs.truth[best]
    overlap[pairs.detection[best]] = pairs.overlap[best]
    return Matches(truth, overlap, surest(columns, truth), near & (truth < 0))


def surest(columns: Columns, truth: Ints) -> Bools:
    """Of the detections that point to one truth, the one with the highest score; of equal ones the first."""
    order = columns.by_score[truth[columns.by_score] >= 0]
    right = np.zeros(len(truth), bool)
    right[order[np.unique(truth[order], return_index=True)[1]]] = True
    return right
