# SPDX-License-Identifier: Apache-2.0
"""Evaluation of parts of the data: by size of the objects, and by number of objects in an image.

Each truth is in exactly one slice of a kind, and so is each detection: with the truth that it points to, or
else by its own size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pydarknet.evaluation.average_precision import average_precision
from pydarknet.evaluation.columns import Bools, Columns, Floats, Ints
from pydarknet.evaluation.matching import Matches

#: Lowest area in square pixels of each slice; COCO's limits.
SIZES = {"small": 0, "medium": 32**2, "large": 96**2}

#: Lowest number of objects in an image of each slice.
OBJECTS = {"0": 0, "1": 1, "2-4": 2, "5-9": 5, "10+": 10}


@dataclass(frozen=True)
class Slice:
    """A part of the data.

    Attributes:
        name: a key of :data:`SIZES` or :data:`OBJECTS`.
        images: number of images with a truth or a detection in it; for :data:`OBJECTS`, of all its images.
        truths: number of truths in it.
        tp: truths that were found with a confidence above the threshold; ``fp`` are false positives above it.
        ap: mean over its classes of the average precision, the area under the curve; nan without truths.
    """

    name: str
    images: int
    truths: int
    tp: int
    fp: int
    ap: float

    @property
    def fn(self) -> int:
        """Truths that were not found."""
        return self.truths - self.tp

    @property
    def precision(self) -> float:
        """Fraction of the positives that are right, 0..1; nan if there are none."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else math.nan

    @property
    def recall(self) -> float:
        """Fraction of the truths that were found, 0..1; nan if there are none."""
        return self.tp / self.truths if self.truths else math.nan


def by_size(columns: Columns, matches: Matches, thresh: float) -> tuple[Slice, ...]:
    """Slices by area of the objects, which must be in pixels."""
    limits = np.array(list(SIZES.values()))

    def place(areas: Floats) -> Ints:
        return np.searchsorted(limits, areas, "right") - 1

    truths, detections = place(columns.truth_areas), place(columns.areas)
    pointing = matches.truth >= 0
    detections[pointing] = truths[matches.truth[pointing]]
    parts = []
    for number, name in enumerate(SIZES):
        mine, those = detections == number, truths == number
        images = len(np.unique(np.concatenate([columns.image[mine], columns.truth_image[those]])))
        parts.append(_slice(name, images, columns, matches, mine, those, thresh))
    return tuple(parts)


def by_objects(columns: Columns, matches: Matches, thresh: float) -> tuple[Slice, ...]:
    """Slices by the number of truths in an image, those set aside not counted."""
    objects = np.bincount(columns.truth_image[~columns.aside], minlength=columns.images)
    images = np.searchsorted(list(OBJECTS.values()), objects, "right") - 1
    detections, truths = images[columns.image], images[columns.truth_image]
    return tuple(
        _slice(name, int((images == i).sum()), columns, matches, detections == i, truths == i, thresh)
        for i, name in enumerate(OBJECTS)
    )


def _slice(
    name: str, images: int, columns: Columns, matches: Matches, mine: Bools, truths: Bools, thresh: float
) -> Slice:
    """Evaluate some of the detections against some of the truths."""
    positives = np.bincount(columns.truth_classes[truths & ~columns.aside])
    ranked = matches.ranked(columns, len(positives), mine)
    aps = [average_precision(matches.right[ranked[i]], int(positives[i])) for i in np.flatnonzero(positives)]
    strong = mine & ~matches.aside & (columns.scores > thresh)
    return Slice(
        name,
        images,
        int(positives.sum()),
        int((strong & matches.right).sum()),
        int((strong & ~matches.right).sum()),
        float(np.mean(aps)) if aps else math.nan,
    )
