# SPDX-License-Identifier: Apache-2.0
"""Comparison of two models on the same images: is one better, or could the difference be chance?

All images are resampled with replacement, and both models are evaluated on the same draw; the percentiles of
the differences over many draws bound the true one (Efron's percentile interval).  Boxes are
matched once, since that does not depend on other images: a draw only changes how often an image counts in
the ranking.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pydarknet.errors import ArgumentError
from pydarknet.evaluation import coco
from pydarknet.evaluation.average_precision import RECALLS
from pydarknet.evaluation.columns import Bools, Columns, Floats, Ints
from pydarknet.evaluation.evaluation import Evaluation
from pydarknet.system.notify import Progress, counted, no_progress


@dataclass(frozen=True)
class ScoreDifference:
    """One metric of two models; values 0..1.

    Attributes:
        metric: ``map50`` (Darknet's; ``map75`` if the evaluations are at IoU 0.75) or ``map5095`` (COCO's).
        first: of the first model; ``second`` of the second.
        low: lower end of the interval of second - first; ``high`` is the upper end.
        better: share of the draws in which the second model is better, equal ones by half.
    """

    metric: str
    first: float
    second: float
    low: float
    high: float
    better: float

    @property
    def difference(self) -> float:
        """Score of the second model minus that of the first."""
        return self.second - self.first

    @property
    def clear(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Comparison:
    """Result of the evaluation.

    Attributes:
        differences: of Darknet's mAP, then of COCO's.
        samples: number of draws.
        level: of the intervals, for example 0.95.
        seed: of the draws.
    """

    differences: tuple[ScoreDifference, ...]
    samples: int
    level: float
    seed: int

    def text(self) -> str:
        """One line for each metric, in percent."""
        lines = [f"{'':8} {'first':>7} {'second':>7} {'change':>7}  {self.level:.0%} interval"]
        for d in self.differences:
            verdict = "" if d.clear else "  (may be chance)"
            values = " ".join(f"{100 * v:7.2f}" for v in (d.first, d.second))
            span = f"{100 * d.low:+.2f} to {100 * d.high:+.2f}"
            lines.append(f"{d.metric:8} {values} {100 * d.difference:+7.2f}  {span}{verdict}")
        return "\n".join(lines)


def compare(
    first: Evaluation,
    second: Evaluation,
    *,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Comparison:
    """Compare two models that were evaluated on the same images.

    Args:
        first: the model to compare with.
        second: the model that may be better.
        samples: number of draws.
        level: of the intervals.
        seed: of the draws; the same seed gives the same numbers.
        progress: receives the number of draws done.

    Raises:
        ArgumentError: the evaluations differ in images, truths, names or settings, or have no images.
    """
    _check(first, second)
    if samples < 1 or not 0 < level < 1:
        raise ArgumentError(
            f"samples is {samples}, expected 1 or more; level is {level}, expected between 0 and 1"
        )
    rng = np.random.default_rng(seed)
    models = (_Model(first), _Model(second))
    count = len(first.images)
    drawn = np.empty((samples, len(models), 2))
    for sample in counted(range(samples), progress, "draws"):
        weights = np.bincount(rng.integers(count, size=count), minlength=count)
        for i, model in enumerate(models):
            drawn[sample, i] = model.measure(weights)
    change = drawn[:, 1] - drawn[:, 0]
    ends = np.quantile(change, [(1 - level) / 2, (1 + level) / 2], axis=0)
    better = (change > 0).mean(0) + (change == 0).mean(0) / 2
    whole = {
        f"map{100 * first.iou_thresh:g}": (first.darknet.map, second.darknet.map),
        "map5095": (first.map5095, second.map5095),
    }
    return Comparison(
        tuple(
            ScoreDifference(metric, *values, float(ends[0, i]), float(ends[1, i]), float(better[i]))
            for i, (metric, values) in enumerate(whole.items())
        ),
        samples,
        level,
        seed,
    )


def _check(first: Evaluation, second: Evaluation) -> None:
    for what in ("names", "iou_thresh", "points"):
        if getattr(first, what) != getattr(second, what):
            raise ArgumentError(
                f"two evaluations with different {what} cannot be compared: "
                f"{getattr(first, what)} and {getattr(second, what)}"
            )
    if len(first.images) != len(second.images) or not first.images:
        raise ArgumentError(
            f"two models are compared on the same images; found {len(first.images)} and {len(second.images)}"
        )
    for a, b in zip(first.images, second.images, strict=True):
        same = np.array_equal(a.truth_classes, b.truth_classes) and np.allclose(a.truths, b.truths)
        if a.path != b.path or not same:
            raise ArgumentError(
                f"two models are compared on the same images in the same order; found "
                f"{a.path or 'an image'} and {b.path or 'an image'}" + ("" if same else " with other truths")
            )


class _Model:
    """The matched detections of one model, and its metrics for any weights of the images."""

    def __init__(self, evaluation: Evaluation) -> None:
        columns, self.count = evaluation.columns, len(evaluation.names)
        needed = ~columns.aside
        self.truth_image, self.truth_classes = columns.truth_image[needed], columns.truth_classes[needed]
        order = columns.by_class
        matches = evaluation.matches
        self.points = evaluation.points
        self.darknet = _Ranking(
            columns, order, matches.right[None, order], matches.aside[None, order], self.count
        )
        found = coco.match(columns)
        lanes = coco.BITS[[area == 0 for area, _ in coco.LANES], None]
        ignored = (found.ignored & lanes) != 0
        right = ((found.matched & lanes) != 0) & ~ignored
        self.coco = _Ranking(columns, found.detections, right, ignored, self.count)

    def measure(self, weights: Ints) -> tuple[float, float]:
        """Darknet's mAP and COCO's AP if each image were there as often as its weight says."""
        positives = np.bincount(self.truth_classes, weights[self.truth_image], self.count).astype(np.int64)
        if self.points:
            recalls = np.arange(self.points) / (self.points - 1) - 1e-12
            darknet = self.darknet.at(weights, positives, recalls).sum() / self.count
        else:
            darknet = self.darknet.area(weights, positives).sum() / self.count
        known = self.coco.at(weights, positives, RECALLS)[:, positives > 0]
        return float(darknet), float(known.mean()) if known.size else 0.0


class _Ranking:
    """Ranked detections of each class, whose right ones differ between lanes.

    Args:
        columns: of all images.
        order: (n,) detections by class, by descending confidence.
        right: (lanes, n) whether each is right.
        ignored: (lanes, n) whether it is left out.
        count: of classes.
    """

    def __init__(self, columns: Columns, order: Ints, right: Bools, ignored: Bools, count: int) -> None:
        self.image, self.shape = columns.image[order], (len(right), count)
        classes = columns.classes[order]
        self.first = np.searchsorted(classes, np.arange(count))
        lane, self.hit = np.nonzero(right)
        self.segment = lane * count + classes[self.hit]
        self.begin = np.searchsorted(self.segment, np.arange(len(right) * count + 1))
        lane, self.out = np.nonzero(ignored)
        segment = lane * count + classes[self.out]
        # how many of the ignored ones stand before each hit, and before each segment
        place = self.segment * len(order) + self.hit
        self.out_before = np.searchsorted(segment * len(order) + self.out, place)
        self.out_begin = np.searchsorted(segment, np.arange(len(right) * count))

    def _envelope(self, weights: Ints) -> tuple[Ints, Ints, Floats]:
        """At each hit: its weight, the hits up to it in its segment, the highest precision from it on."""
        mine = weights[self.image]
        sums = np.concatenate([[0], np.cumsum(mine)])
        judged = sums[self.hit + 1] - sums[self.first[self.segment % self.shape[1]]]
        if len(self.out):
            sums = np.concatenate([[0], np.cumsum(mine[self.out])])
            judged -= sums[self.out_before] - sums[self.out_begin[self.segment]]
        weight = mine[self.hit]
        sums = np.concatenate([[0], np.cumsum(weight)])
        hits = sums[1:] - sums[self.begin[self.segment]]
        apart = 2.0 * self.segment  # keeps the segments from one another
        precision = hits / np.maximum(judged, 1) - apart
        return weight, hits, np.maximum.accumulate(precision[::-1])[::-1] + apart

    def area(self, weights: Ints, positives: Ints) -> Floats:
        """(lanes, classes) area under the curve."""
        weight, _, envelope = self._envelope(weights)
        sums = np.bincount(self.segment, weight * envelope, self.shape[0] * self.shape[1])
        return np.asarray(sums.reshape(self.shape) / np.maximum(positives, 1))

    def at(self, weights: Ints, positives: Ints, recalls: Floats) -> Floats:
        """(lanes, classes) mean precision over points of recall."""
        _, hits, envelope = self._envelope(weights)
        needed = np.ceil(recalls * positives[:, None] - 1e-9).astype(np.int64)
        needed += needed / np.maximum(positives, 1)[:, None] < recalls
        width = int(positives.max(initial=0)) + 2
        segments = np.arange(self.shape[0] * self.shape[1]).reshape(*self.shape, 1)
        wanted = (segments * width + needed).ravel()
        place = np.searchsorted(self.segment * width + hits, wanted)
        beyond = place >= np.repeat(self.begin[1:], len(recalls))
        values = np.where(beyond, 0.0, np.append(envelope, 0.0)[place])
        return np.asarray(values.reshape(*self.shape, len(recalls)).mean(2))
