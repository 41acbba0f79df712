# SPDX-License-Identifier: Apache-2.0
"""Calibration of confidences: of the detections with confidence 0.7, 70 % should be right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pydarknet.evaluation.columns import Bools, Floats, Ints


@dataclass(frozen=True, eq=False)
class Calibration:
    """Detections by their confidence, in bins of equal width.

    Attributes:
        edges: (bins + 1,) from 0 to 1; a bin includes its lower edge.
        count: (bins,) detections.
        confidence: (bins,) their mean confidence, nan where there are none.
        accuracy: (bins,) fraction of them that is right, nan where there are none.
    """

    edges: Floats
    count: Ints
    confidence: Floats
    accuracy: Floats

    @property
    def ece(self) -> float:
        """Expected calibration error, 0..1: mean gap between confidence and accuracy over all detections."""
        return self.ece_from(0.0)

    def ece_from(self, confidence: float) -> float:
        """The same over the bins from a confidence up; nan if they are empty.

        Detections of low confidence are many and rarely right; this measures those that are used.
        """
        used = (self.edges[:-1] >= confidence - 1e-9) & (self.count > 0)
        gap = np.abs(self.confidence - self.accuracy)[used]
        return float(np.average(gap, weights=self.count[used])) if used.any() else float("nan")


def calibration(scores: Floats, right: Bools, bins: int = 20) -> Calibration:
    """Compare confidence and accuracy.

    Args:
        scores: (n,) confidences, 0..1.
        right: (n,) whether each detection found a truth.
        bins: their number.
    """
    place = np.minimum((scores * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(place, values, bins) / count for values in (scores, right.astype(float))]
    return Calibration(np.linspace(0, 1, bins + 1), count, *means)
