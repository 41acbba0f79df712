# SPDX-License-Identifier: Apache-2.0
"""Input of every protocol: detections with the truth, per image, and all images as one set of columns.

Protocols work on the columns and on the pairs of overlapping boxes among them, so that a data set is
evaluated without a loop over its images.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pydarknet.errors import ArgumentError

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]
Bools = npt.NDArray[np.bool_]

#: Class of a truth set aside that stands for any class: a region where detections do not count.
ANY_CLASS = -1

_AT_ONCE = 1 << 20  # pairs of boxes compared at a time; bounds the memory


@dataclass(frozen=True, eq=False)
class Judged:
    """Detections and truth of one image.

    Attributes:
        boxes: (n, 4) corners x1, y1, x2, y2 of the detections, in the order in which Darknet lists them; in
            pixels of the image if ``size`` is given, which areas need, else in any one unit.
        scores: (n,) confidence, 0..1.
        classes: (n,) class ids.
        truths: (m, 4) corners of the true boxes.
        truth_classes: (m,) class ids; :data:`ANY_CLASS` only where ``crowd``.
        difficult: (m,) truths that need not be found, but may be once (VOC); None if there are none.
        crowd: (m,) truths that stand for many: any number of detections inside them is neither right nor
            wrong (COCO's iscrowd); None if there are none.
        path: of the image.
        size: width and height of the image in pixels.

    Raises:
        ArgumentError: columns differ in length.
    """

    boxes: Floats
    scores: Floats
    classes: Ints
    truths: Floats
    truth_classes: Ints
    difficult: Bools | None = None
    crowd: Bools | None = None
    path: str = ""
    size: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        for name in ("boxes", "scores", "classes", "truths", "truth_classes"):
            values = np.asarray(getattr(self, name))
            shaped = values.reshape(-1, 4) if name in ("boxes", "truths") and not values.size else values
            object.__setattr__(self, name, shaped)
        n, m = len(self.scores), len(self.truth_classes)
        found = (np.shape(self.boxes), np.shape(self.classes), np.shape(self.truths))
        if found != ((n, 4), (n,), (m, 4)):
            raise ArgumentError(
                f"{self.path or 'an image'} has boxes, classes and truths of shapes {found[0]}, {found[1]} "
                f"and {found[2]}; expected ({n}, 4), ({n},) and ({m}, 4)"
            )
        for name, flags in (("difficult", self.difficult), ("crowd", self.crowd)):
            if flags is not None and np.shape(flags) != (m,):
                raise ArgumentError(
                    f"{self.path or 'an image'} has {name} of shape {np.shape(flags)}, expected ({m},)"
                )


@dataclass(frozen=True, eq=False)
class Pairs:
    """Detections and truths that overlap, ordered by detection.

    Attributes:
        detection: (p,) index of a detection.
        truth: (p,) index of a truth in the same image.
        overlap: (p,) their intersection over union, above 0; for a crowd the share of the detection inside.
    """

    detection: Ints
    truth: Ints
    overlap: Floats

    def __getitem__(self, rows: Any) -> Pairs:
        return Pairs(self.detection[rows], self.truth[rows], self.overlap[rows])


@dataclass(frozen=True, eq=False)
class Columns:
    """The detections and truths of all images, in the order of the images.

    Attributes:
        images: number of images.
        boxes: (n, 4) corners of detections; ``scores``, ``classes`` and ``image`` (its number) are (n,).
        truths: (m, 4) corners; ``truth_classes``, ``truth_image``, ``difficult`` and ``crowd`` are (m,).
    """

    images: int
    boxes: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    classes: npt.NDArray[np.int64]
    image: npt.NDArray[np.int64]
    truths: npt.NDArray[np.float64]
    truth_classes: npt.NDArray[np.int64]
    truth_image: npt.NDArray[np.int64]
    difficult: Bools
    crowd: Bools

    @classmethod
    def of(cls, images: Iterable[Judged] | Columns) -> Columns:
        """The columns of some images."""
        if isinstance(images, Columns):
            return images
        given = list(images)

        def joined(parts: list[Any], dtype: Any, *shape: int) -> Any:
            return np.concatenate([np.empty((0, *shape)), *parts]).astype(dtype)

        def flags(name: str) -> Any:
            columns = [(getattr(one, name), len(one.truths)) for one in given]
            return joined([np.zeros(m) if f is None else f for f, m in columns], bool)

        numbers = np.arange(len(given))
        return cls(
            len(given),
            joined([one.boxes for one in given], float, 4),
            joined([one.scores for one in given], float),
            joined([one.classes for one in given], np.int64),
            np.repeat(numbers, [len(one.scores) for one in given]),
            joined([one.truths for one in given], float, 4),
            joined([one.truth_classes for one in given], np.int64),
            np.repeat(numbers, [len(one.truths) for one in given]),
            flags("difficult"),
            flags("crowd"),
        )

    @cached_property
    def aside(self) -> Bools:
        """(m,) truths that need not be found: difficult ones and crowds."""
        return self.difficult | self.crowd

    @cached_property
    def areas(self) -> Floats:
        """(n,) areas of the detections."""
        return np.asarray((self.boxes[:, 2:] - self.boxes[:, :2]).prod(1))

    @cached_property
    def truth_areas(self) -> Floats:
        """(m,) areas of the truths."""
        return np.asarray((self.truths[:, 2:] - self.truths[:, :2]).prod(1))

    @cached_property
    def by_score(self) -> Ints:
        """Indices of the detections by descending confidence; equal ones in their order."""
        return np.argsort(-self.scores, kind="stable")

    @cached_property
    def by_class(self) -> Ints:
        """Indices of the detections by class, and of each by descending confidence."""
        return self.by_score[np.argsort(self.classes[self.by_score], kind="stable")]

    def positives(self, count: int) -> npt.NDArray[np.int64]:
        """(count,) truths of each class that should be found."""
        return np.bincount(self.truth_classes[~self.aside], minlength=count)

    @cached_property
    def pairs(self) -> Pairs:
        """Overlapping boxes of one class."""
        whole = self.truth_classes != ANY_CLASS
        count = 1 + max((int(c.max(initial=0)) for c in (self.classes, self.truth_classes)), default=0)
        found = self._pairs(
            self.image * count + self.classes, self.truth_image * count + self.truth_classes, whole
        )
        if whole.all():
            return found
        anything = self._pairs(self.image, self.truth_image, ~whole)
        parts = [np.concatenate(c) for c in zip(vars(found).values(), vars(anything).values(), strict=True)]
        return Pairs(*parts)[np.argsort(parts[0], kind="stable")]

    def pairs_across(self, detections: Bools) -> Pairs:
        """Overlapping boxes of any classes, for some of the detections."""
        rows = np.flatnonzero(detections)
        return self._pairs(self.image[rows], self.truth_image, np.ones(len(self.truths), bool), rows)

    def _pairs(self, keys: Ints, truth_keys: Ints, wanted: Bools, rows: Ints | None = None) -> Pairs:
        """Pairs of equal keys that overlap: those of one image, or of one image and class."""
        truths = np.flatnonzero(wanted)
        truths = truths[np.argsort(truth_keys[truths], kind="stable")]
        table = truth_keys[truths]
        first = np.searchsorted(table, keys)
        counts = np.searchsorted(table, keys, "right") - first
        ends = np.cumsum(counts)
        parts, begin = [], 0
        while begin < len(keys):
            done = ends[begin] - counts[begin]
            end = max(begin + 1, int(np.searchsorted(ends, done + _AT_ONCE)))
            mine = np.repeat(np.arange(begin, end), counts[begin:end])
            place = np.arange(len(mine)) + (first - (ends - counts) + done)[mine]
            parts.append(self._overlapping(mine if rows is None else rows[mine], truths[place]))
            begin = end
        if not parts:
            return Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
        return (
            parts[0]
            if len(parts) == 1
            else Pairs(*map(np.concatenate, zip(*(vars(p).values() for p in parts), strict=True)))
        )

    def _overlapping(self, detection: Ints, truth: Ints) -> Pairs:
        a, b = self.boxes[detection], self.truths[truth]
        width = np.minimum(a[:, 2], b[:, 2]) - np.maximum(a[:, 0], b[:, 0])
        height = np.minimum(a[:, 3], b[:, 3]) - np.maximum(a[:, 1], b[:, 1])
        rows = np.flatnonzero((width > 0) & (height > 0))
        detection, truth, shared = detection[rows], truth[rows], (width * height)[rows]
        areas = self.areas[detection]
        union = np.where(self.crowd[truth], areas, areas + self.truth_areas[truth] - shared)
        return Pairs(detection, truth, shared / union)
