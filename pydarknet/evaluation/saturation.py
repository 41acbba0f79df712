# SPDX-License-Identifier: Apache-2.0
"""Saturation: detections of a network that calls everything an object, so that their scores mean nothing."""

from __future__ import annotations

from dataclasses import dataclass

from pydarknet.evaluation.columns import Columns
from pydarknet.evaluation.matching import Matches

CERTAIN, CERTAIN_SHARE = 0.99, 0.5  # saturated if this share of the detections has this confidence,
CERTAIN_RIGHT = 0.5  # and fewer than this share of those are right;
LIKELY, LIKELY_PER_IMAGE = 0.5, 500  # or if an image has more detections than this above this confidence


@dataclass(frozen=True)
class Saturation:
    """Signs of a network that calls everything an object.

    Attributes:
        share: share of the detections whose confidence is 0.99 or more, 0..1; 0 if there are none.
        per_image: detections per image.
        reason: why the detections are saturated; empty if they are not.
    """

    share: float
    per_image: float
    reason: str


def saturation(columns: Columns, matches: Matches) -> Saturation:
    """Judge detections by their confidences.

    They are saturated if half of them have a confidence of 0.99 or more and most of those are wrong, or if
    there are more than 500 with a confidence above 0.5 per image. High confidences that are right are those
    of a good network, and many low ones those of a network early in its training.

    Args:
        columns: all detections of an evaluation.
        matches: result of each detection.
    """
    count, images = len(columns.scores), columns.images
    certain = columns.scores >= CERTAIN
    share = float(certain.sum()) / max(count, 1)
    per_image = count / max(images, 1)
    right = float(matches.right[certain].mean()) if certain.any() else 1.0
    likely = float((columns.scores > LIKELY).sum()) / max(images, 1)
    reason = ""
    if share >= CERTAIN_SHARE and right < CERTAIN_RIGHT:
        reason = (
            f"{share:.0%} of the detections have a confidence of {CERTAIN} or more, and {1 - right:.0%} "
            "of those are wrong"
        )
    elif likely > LIKELY_PER_IMAGE:
        reason = f"there are {likely:.0f} detections with a confidence above {LIKELY} per image"
    return Saturation(share, per_image, reason)
