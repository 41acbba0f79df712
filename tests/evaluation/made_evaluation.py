# SPDX-License-Identifier: Apache-2.0
"""Small evaluations made by hand: boxes of 10 x 10 pixels on a line."""

from __future__ import annotations

import numpy as np

from pydarknet.evaluation.columns import Judged
from pydarknet.evaluation.evaluation import Evaluation


def corners(xs: list[float]) -> np.ndarray:
    return np.array([(x, 0, x + 10, 10) for x in xs], float).reshape(-1, 4)


def judged(
    found: list[tuple[float, float, int]],
    truths: list[tuple[float, int]],
    path: str = "",
    crowd: list[bool] | None = None,
) -> Judged:
    """Detections (x, score, class) and truths (x, class) of an image of 200 x 20 pixels."""
    return Judged(
        corners([f[0] for f in found]),
        np.array([f[1] for f in found], float),
        np.array([f[2] for f in found], int),
        corners([t[0] for t in truths]),
        np.array([t[1] for t in truths], int),
        crowd=None if crowd is None else np.array(crowd),
        path=path,
        size=(200, 20),
    )


def evaluation(path: str = "") -> Evaluation:
    """Of two cats one found (0.9) and one missed, a dog found (0.6) and one where there is nothing (0.8)."""
    found = [(0, 0.9, 0), (60, 0.6, 1), (120, 0.8, 1)]
    return Evaluation([judged(found, [(0, 0), (30, 0), (60, 1)], path)], ["cat", "dog"])
