# SPDX-License-Identifier: Apache-2.0
"""Precision, recall and F1 over the confidence, and precision over recall, for each class and on average."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pydarknet.evaluation.average_precision import RECALLS, precision_at
from pydarknet.evaluation.columns import Columns, Floats
from pydarknet.evaluation.matching import Matches

#: Where the curves are measured.
CONFIDENCES = np.linspace(0, 1, 1001)


@dataclass(frozen=True, eq=False)
class Curves:
    """Result of the evaluation; classes without truths have nan and do not count in means.

    Attributes:
        names: of the classes.
        precision: (classes, 1001) of the detections whose confidence is at least each of
            :data:`CONFIDENCES`; 1 where nothing is detected.
        recall: (classes, 1001) of the same detections.
        precision_at_recall: (classes, 101) the highest precision at each of :data:`RECALLS` or beyond.
    """

    names: tuple[str, ...]
    precision: Floats
    recall: Floats
    precision_at_recall: Floats

    @cached_property
    def f1(self) -> Floats:
        """(classes, 1001) harmonic mean of precision and recall."""
        both = self.precision + self.recall
        return np.asarray(2 * self.precision * self.recall / np.where(both == 0, 1, both))

    def mean(self, values: Floats) -> Floats:
        """The mean of one of the attributes over the classes that have truths; 0 if none has."""
        known = values[~np.isnan(values[:, 0])]
        return np.asarray(known.mean(0)) if len(known) else np.zeros(values.shape[1])

    @property
    def best_confidence(self) -> float:
        """The confidence with the highest mean F1; the middle of a range of equal ones."""
        f1 = self.mean(self.f1)
        best = np.flatnonzero(f1 >= f1.max() - 1e-12)
        together = best[best - best[0] == np.arange(len(best))]
        return float(CONFIDENCES[together[len(together) // 2]])

    def at(self, confidence: float) -> tuple[float, float, float]:
        """Mean precision, recall and F1 at a confidence."""
        index = int(np.clip(np.searchsorted(CONFIDENCES, confidence - 1e-9), 0, len(CONFIDENCES) - 1))
        precision, recall, f1 = (float(self.mean(v)[index]) for v in (self.precision, self.recall, self.f1))
        return precision, recall, f1


def curves(columns: Columns, matches: Matches, names: tuple[str, ...]) -> Curves:
    """Measure matched detections at every confidence."""
    ranked = matches.ranked(columns, len(names))
    positives = columns.positives(len(names))
    shape = (len(names), len(CONFIDENCES))
    precision, recall = np.full(shape, np.nan), np.full(shape, np.nan)
    over_recall = np.full((len(names), len(RECALLS)), np.nan)
    for label in np.flatnonzero(positives):
        mine, right = ranked[label], matches.right[ranked[label]]
        count = np.searchsorted(-columns.scores[mine], -CONFIDENCES, "right")
        hits = np.concatenate([[0], np.cumsum(right)])[count]
        precision[label] = np.where(count, hits / np.maximum(count, 1), 1.0)
        recall[label] = hits / positives[label]
        over_recall[label] = precision_at(right, int(positives[label]), RECALLS - 1e-12)
    return Curves(names, precision, recall, over_recall)
