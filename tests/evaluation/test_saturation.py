# SPDX-License-Identifier: Apache-2.0
"""Saturated detections: when they are reported, and with which reason."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from judging import line

from pydarknet.evaluation.columns import Judged
from pydarknet.evaluation.evaluation import Evaluation


def image(scores: Sequence[float], right: int, spread: float = 1.0) -> Judged:
    """As many detections side by side, the first of which lie on truths."""
    count = len(scores)
    left = np.arange(count) * spread
    boxes = np.stack([left, np.zeros(count), left + 0.9, np.ones(count)], 1)
    return Judged(
        boxes, np.array(scores), np.zeros(count, int), boxes[:right], np.zeros(right, int), size=(9, 9)
    )


@pytest.mark.parametrize(
    ("scores", "right", "expected"),
    [
        (
            [0.995] * 50 + [0.3] * 50,
            5,
            "50% of the detections have a confidence of 0.99 or more, and 90% of those",
        ),
        ([0.995] * 49 + [0.3] * 51, 5, ""),
        ([0.995] * 50 + [0.3] * 50, 40, ""),  # sure and right: a good network
        ([0.51] * 501, 501, "there are 501 detections with a confidence above 0.5 per image"),
        ([0.51] * 500, 5, ""),
        ([0.3] * 900, 5, ""),  # many weak ones: a young network
        ([], 0, ""),
    ],
)
def test_reason(scores: Sequence[float], right: int, expected: str) -> None:
    """Half of the detections certain and mostly wrong, or more than 500 likely ones in an image."""
    found = Evaluation([image(scores, right)], ["thing"]).saturation.reason
    assert found.startswith(expected)
    assert bool(found) == bool(expected)


def test_saturation() -> None:
    """Share of boxes at 0.99 and above, and boxes per image."""
    images = [line([(0, 0.99 + 1e-6, 0), (50, 1, 0), (100, 0.5, 0), (150, 0.98, 0)], []), line([], [])]
    found = Evaluation(images, ["a", "b"]).saturation
    assert (found.share, found.per_image) == (0.5, 2)
    assert Evaluation([], ["a"]).saturation.share == 0
