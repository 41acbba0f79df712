# SPDX-License-Identifier: Apache-2.0
"""Average precision of a ranking: area under its precision over recall, or mean over points of recall."""

from __future__ import annotations

import numpy as np

from pydarknet.evaluation.columns import Bools, Columns, Floats
from pydarknet.evaluation.matching import Matches

#: The 101 points of recall of COCO.
RECALLS = np.linspace(0, 1, 101)


def average_precision(right: Bools, positives: int, points: int = 0) -> float:
    """Average precision of ranked detections, 0..1; 0 if there is nothing to find.

    Args:
        right: (n,) detections by descending confidence: whether each found a truth.
        positives: number of truths.
        points: 0 for the area under the curve (Darknet, VOC since 2010); 11 (VOC 2007) or 101 for the mean
            over that many points of recall from 0 to 1.
    """
    if points:
        return float(precision_at(right, positives, np.arange(points) / (points - 1) - 1e-12).mean())
    return float(_envelope(right)[1].sum() / positives) if positives else 0.0


def precision_at(right: Bools, positives: int, recalls: Floats) -> Floats:
    """Precision at some recalls: the highest at that recall or a higher one, 0 beyond the last.

    Args:
        right: (n,) detections by descending confidence: whether each found a truth.
        positives: number of truths.
        recalls: (r,) 0..1.
    """
    hits, envelope = _envelope(right)
    if not positives or not len(hits):
        return np.zeros(len(recalls))
    found: Floats = np.append(envelope, 0.0)[np.searchsorted(hits / positives, recalls)]
    return found


def _envelope(right: Bools) -> tuple[Floats, Floats]:
    """At each right detection: number of right ones up to it, and highest precision from it on."""
    places = np.flatnonzero(right)
    hits = np.arange(1.0, len(places) + 1)
    precision = hits / (places + 1)
    return hits, np.maximum.accumulate(precision[::-1])[::-1]


def class_precisions(columns: Columns, matches: Matches, count: int, points: int = 0) -> list[float]:
    """:func:`average_precision` of each class of matched detections."""
    ranked, positives = matches.ranked(columns, count), columns.positives(count).tolist()
    return [average_precision(matches.right[r], p, points) for r, p in zip(ranked, positives, strict=True)]
