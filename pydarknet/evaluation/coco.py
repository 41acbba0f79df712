# SPDX-License-Identifier: Apache-2.0
"""The COCO protocol: average precision at ten thresholds of IoU, by size of the objects, and recall.

Equal to pycocotools, https://github.com/cocodataset/cocoapi (PythonAPI/pycocotools/cocoeval.py), except that
the area of an object is that of its box.  All images and classes are matched at once: the loop is over the
rank of a detection among those of its image and class.  The ten thresholds times four ranges of area are
lanes of matching that run side by side, each a bit of an integer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from pydarknet.errors import ArgumentError
from pydarknet.evaluation.average_precision import RECALLS, precision_at
from pydarknet.evaluation.columns import Columns, Floats, Ints, Judged, Pairs

Bits = npt.NDArray[np.uint64]

#: Thresholds of IoU, and the detections per image and class that count.
THRESHOLDS = np.linspace(0.5, 0.95, 10)
MAX_DETECTIONS = (1, 10, 100)

#: Ranges of area in square pixels, both ends included.
AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}

#: The lanes, as numbers of an area and a threshold, and their bits.
LANES = [(area, threshold) for area in range(len(AREAS)) for threshold in range(len(THRESHOLDS))]
BITS = np.uint64(1) << np.arange(len(LANES), dtype=np.uint64)
_ALL = np.uint64((1 << len(LANES)) - 1)


@dataclass(frozen=True, eq=False)
class CocoReport:
    """Result of the evaluation; a class without truths in a range of area has nan there, left out of means.

    Attributes:
        names: of the classes.
        precision: (areas, thresholds, classes) average precision, 0..1; see :data:`AREAS` and
            :data:`THRESHOLDS`.
        recall: (3, areas, thresholds, classes) recall for each of :data:`MAX_DETECTIONS`.
    """

    names: tuple[str, ...]
    precision: Floats
    recall: Floats

    def ap(self, area: str = "all", threshold: float | None = None) -> float:
        """Mean average precision, over all thresholds unless one is given; nan if nothing can be measured.

        Raises:
            ArgumentError: the area or threshold is unknown.
        """
        values = self.precision[_place(area, list(AREAS), "area")]
        if threshold is None:
            return _mean(values)
        return _mean(values[_place(round(threshold, 9), THRESHOLDS.round(9).tolist(), "threshold")])

    def ar(self, area: str = "all", detections: int = 100) -> float:
        """Mean recall over all thresholds and classes, of the most confident detections per image and class.

        Raises:
            ArgumentError: the area or number of detections is unknown.
        """
        count = _place(detections, list(MAX_DETECTIONS), "number of detections")
        return _mean(self.recall[count, _place(area, list(AREAS), "area")])

    @property
    def map5095(self) -> float:
        """COCO's AP: mean over classes and the thresholds 0.50 to 0.95."""
        return self.ap()

    @property
    def map50(self) -> float:
        """COCO's AP50."""
        return self.ap(threshold=0.5)

    @cached_property
    def class_ap(self) -> Floats:
        """(classes,) average precision over all thresholds of each class."""
        return np.asarray(self.precision[0].mean(0))

    @property
    def stats(self) -> dict[str, float]:
        """COCO's twelve numbers in its order; nan where pycocotools has -1."""
        sizes = ("small", "medium", "large")
        return {
            "AP": self.ap(),
            "AP50": self.ap(threshold=0.5),
            "AP75": self.ap(threshold=0.75),
            **{f"AP{size}": self.ap(size) for size in sizes},
            **{f"AR{count}": self.ar(detections=count) for count in MAX_DETECTIONS},
            **{f"AR{size}": self.ar(size) for size in sizes},
        }

    def text(self) -> str:
        """The twelve numbers, one in each line."""
        return "\n".join(f"{name:9} {value:.3f}" for name, value in self.stats.items())


def _place(wanted: str | float, known: list[Any], what: str) -> int:
    if wanted not in known:
        raise ArgumentError(f"found {what} {wanted}, expected one of {', '.join(map(str, known))}")
    return known.index(wanted)


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


@dataclass(frozen=True, eq=False)
class Matching:
    """Result of each detection in each lane.

    Attributes:
        detections: those that count, at most 100 for an image and class: by class, by descending confidence.
        rank: of each in its image and class, from 0.
        matched: (n,) lanes in which it found a truth.
        ignored: (n,) lanes in which it is neither right nor wrong.
        counted: (m,) lanes in which a truth must be found.
    """

    detections: Ints
    rank: Ints
    matched: Bits
    ignored: Bits
    counted: Bits


def match(columns: Columns) -> Matching:
    """Match detections with truths: by descending confidence, each takes the free truth it overlaps most."""
    group, rank = _ranks(columns)
    counted = np.where(columns.aside, np.uint64(0), _lanes_of_area(columns.truth_areas))
    matched, ignored = np.zeros(len(rank), np.uint64), np.zeros(len(rank), np.uint64)
    taken = np.zeros(len(counted), np.uint64)
    once = np.where(columns.crowd, np.uint64(0), _ALL)
    pairs, passes, turns = _turns(columns, rank)

    def claim(turn: slice, which: Bits, also: Bits | None) -> None:
        detection, truth = pairs.detection[turn], pairs.truth[turn]
        free = passes[turn] & which[truth] & ~taken[truth] & ~matched[detection]
        matched[detection] |= free
        taken[truth] |= free & once[truth]
        if also is not None:
            also[detection] |= free

    for turn in turns:  # truths that count come before those that are ignored
        for part in turn:
            claim(part, counted, None)
        for part in turn:
            claim(part, ~counted, ignored)
    ignored |= ~matched & ~_lanes_of_area(columns.areas)
    kept = group[rank[group] < MAX_DETECTIONS[-1]]
    return Matching(kept, rank[kept], matched[kept], ignored[kept], counted)


def _ranks(columns: Columns) -> tuple[Ints, Ints]:
    """Detections by class and score, and the rank of each detection in its image and class."""
    by_class = columns.by_class
    key = columns.classes * columns.images + columns.image
    grouped = by_class[np.argsort(key[by_class], kind="stable")]
    begins = np.flatnonzero(np.diff(key[grouped], prepend=-1))
    lengths = np.diff(begins, append=len(grouped))
    rank = np.empty(len(grouped), np.int64)
    rank[grouped] = np.arange(len(grouped)) - np.repeat(begins, lengths)
    return by_class, rank


def _lanes_of_area(areas: Floats) -> Bits:
    """The lanes whose range has each of some areas."""
    lanes = np.zeros(len(areas), np.uint64)
    for number, (low, high) in enumerate(AREAS.values()):
        of_range = BITS[[area == number for area, _ in LANES]].sum()
        lanes |= np.where((areas >= low) & (areas <= high), of_range, np.uint64(0))
    return lanes


def _lanes_of_overlap(overlap: Floats) -> Bits:
    """The lanes whose threshold each of some overlaps reaches."""
    table = [
        sum(int(BITS[i]) for i, (_, t) in enumerate(LANES) if t < reached)
        for reached in range(len(THRESHOLDS) + 1)
    ]
    return np.array(table, np.uint64)[np.searchsorted(THRESHOLDS, overlap, "right")]


def _turns(columns: Columns, rank: Ints) -> tuple[Pairs, Bits, list[list[slice]]]:
    """The pairs that may match, the lanes in which they do, and the order of play.

    A turn is a rank among the detections of an image and class that may match; its parts are the first
    choices of those detections, the second, and so on.
    """
    pairs = columns.pairs
    pairs = pairs[(pairs.overlap >= THRESHOLDS[0]) & (rank[pairs.detection] < MAX_DETECTIONS[-1])]
    order = np.lexsort((-pairs.truth, -pairs.overlap, pairs.detection))
    pairs = pairs[order]
    begins = np.flatnonzero(np.diff(pairs.detection, prepend=-1))
    choice = np.arange(len(order)) - np.repeat(begins, np.diff(begins, append=len(order)))
    width = int(choice.max(initial=0)) + 1
    step = rank[pairs.detection] * width + choice
    order = np.argsort(step, kind="stable")
    pairs, step = pairs[order], step[order]
    edges = [*np.flatnonzero(np.diff(step, prepend=-1)).tolist(), len(step)]
    turns: list[list[slice]] = []
    for begin, end in pairwise(edges):
        if step[begin] % width == 0:
            turns.append([])
        turns[-1].append(slice(begin, end))
    return pairs, _lanes_of_overlap(pairs.overlap), turns


def coco(images: Iterable[Judged] | Columns, names: Sequence[str]) -> CocoReport:
    """Evaluate stored detections.

    Args:
        images: detections and truth, in pixels.
        names: of the classes.
    """
    columns = Columns.of(images)
    found = match(columns)
    shape = (len(AREAS), len(THRESHOLDS), len(names))
    precision, recall = np.full(shape, np.nan), np.full((len(MAX_DETECTIONS), *shape), np.nan)
    classes = columns.classes[found.detections]
    edges = np.searchsorted(classes, np.arange(len(names) + 1))
    for label in range(len(names)):
        mine = slice(edges[label], edges[label + 1])
        truths = found.counted[columns.truth_classes == label]
        matched, ignored, rank = found.matched[mine], found.ignored[mine], found.rank[mine]
        for lane, (area, threshold) in enumerate(LANES):
            positives = int(((truths & BITS[lane]) != 0).sum())
            if not positives:
                continue
            judged = (ignored & BITS[lane]) == 0
            right = ((matched & BITS[lane]) != 0)[judged]
            precision[area, threshold, label] = precision_at(right, positives, RECALLS).mean()
            for number, limit in enumerate(MAX_DETECTIONS):
                recall[number, area, threshold, label] = right[rank[judged] < limit].sum() / positives
    return CocoReport(tuple(names), precision, recall)
