# SPDX-License-Identifier: Apache-2.0
"""Matching of detections with truths, as in Darknet and VOC.

A detection points to the truth that it overlaps most, matched or not; the most confident of those that point
to a truth is right. COCO's rule, where a detection takes another truth if that one is matched, is in
:mod:`pydarknet.evaluation.coco`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from pydarknet.evaluation.columns import Bools, Columns, Floats, Ints, Pairs


@dataclass(frozen=True, eq=False)
class Matches:
    """Result of each detection.

    Attributes:
        truth: (n,) the truth of its class in its image that it overlaps most, -1 if none.
        overlap: (n,) IoU with that truth, 0 if there is none.
        right: (n,) whether it is the most confident of those that point to its truth.
        aside: (n,) whether it is not counted, since it points to a truth set aside.
    """

    truth: Ints
    overlap: Floats
    right: Bools
    aside: Bools

    def found(self, columns: Columns, thresh: float) -> Bools:
        """(m,) truths that a detection with a confidence above ``thresh`` found."""
        found = np.zeros(len(columns.truths), bool)
        found[self.truth[self.right & (columns.scores > thresh)]] = True
        return found

    def ranked(self, columns: Columns, count: int, among: Bools | None = None) -> list[Ints]:
        """For each class its detections that count, by descending confidence.

        Args:
            columns: the matched detections and truths.
            count: of classes.
            among: (n,) the detections to choose from; None for all.
        """
        judged = ~self.aside if among is None else among & ~self.aside
        order = columns.by_class[judged[columns.by_class]]
        edges = np.searchsorted(columns.classes[order], np.arange(count + 1))
        return [order[begin:end] for begin, end in pairwise(edges)]


def point(columns: Columns, iou_thresh: float, voc: bool = False) -> Matches:
    """Match detections with truths of their class.

    Darknet requires an overlap above ``iou_thresh``, and considers truths set aside only where there is no
    other.  VOC requires at least ``iou_thresh``, and treats difficult truths like any other at this stage.

    Args:
        columns: of all images.
        iou_thresh: smallest IoU of a match.
        voc: VOC's rule instead of Darknet's.
    """
    pairs, count = columns.pairs, len(columns.scores)
    # float32 as in Darknet, so that of two truths at one place the first is matched
    pairs = replace(pairs, overlap=pairs.overlap.astype(np.float32))
    pairs = pairs[pairs.overlap >= iou_thresh if voc else pairs.overlap > iou_thresh]
    second = (columns.crowd if voc else columns.aside)[pairs.truth]
    beside = np.zeros(count, bool)
    beside[pairs.detection[second]] = True
    best = best_of_each(pairs[~second])
    truth, overlap = np.full(count, -1), np.zeros(count)
    truth[best.detection], overlap[best.detection] = best.truth, best.overlap
    pointing = truth >= 0
    aside = beside & ~pointing
    aside[pointing] = columns.aside[truth[pointing]]
    return Matches(truth, overlap, _most_confident(columns, truth) & ~aside, aside)


def best_of_each(pairs: Pairs, by: str = "detection") -> Pairs:
    """The pair with the largest overlap of each detection, or ``by`` ``"truth"``; of equal ones the first."""
    keys, others = (pairs.detection, pairs.truth) if by == "detection" else (pairs.truth, pairs.detection)
    order = np.lexsort((others, -pairs.overlap, keys))
    return pairs[order[np.flatnonzero(np.diff(keys[order], prepend=-1))]]


def _most_confident(columns: Columns, truth: Ints) -> Bools:
    """Of the detections that point to one truth, the one with the highest score; of equal ones the first."""
    order = columns.by_score[truth[columns.by_score] >= 0]
    right = np.zeros(len(truth), bool)
    right[order[np.unique(truth[order], return_index=True)[1]]] = True
    return right
