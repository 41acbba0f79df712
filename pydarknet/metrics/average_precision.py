# SPDX-License-Identifier: Apache-2.0
"""Average precision of a ranking: area under its precision over recall, or mean over points of recall."""

from __future__ import annotations

import numpy as np

from pydarknet.metrics.images import Bools


def average_precision(right: Bools, positives: int, points: int = 0) -> float:
    """Average precision of ranked detections, 0..1; 0 if there is nothing to find.

    Precision at a recall is the highest that is reached there or at any higher recall.

    Args:
        right: from the surest down, whether a detection found a truth.
        positives: number of truths.
        points: 0 for the area under the curve (Darknet, VOC since 2010); 11 (VOC 2007) or 101 (COCO) for the
            mean over that many points of recall from 0 to 1.
    """
    places = np.flatnonzero(right)
    if not positives or not len(places):
        return 0.0
    hits = np.arange(1, len(places) + 1)
    precision = hits / (places + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    if points == 0:
        return float(envelope.sum() / positives)
    needed = np.ceil(np.arange(points) * positives / (points - 1) - 1e-9).astype(int)
    at = np.maximum(needed - 1, 0)
    return float(envelope[at[at < len(places)]].sum() / points)
