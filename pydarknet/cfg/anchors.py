# SPDX-License-Identifier: Apache-2.0
"""Anchors: find them by k-means over box sizes, and judge whether they are worth changing.

Boxes and anchors are (n, 2) float64 arrays of width and height in pixels of the network input.  They
are compared with a common corner, so only shapes matter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pydarknet.engine.boxes import iou_of_sizes
from pydarknet.errors import CfgError, DataError, FileError

if TYPE_CHECKING:
    from pydarknet.cfg import CfgFile
    from pydarknet.data import Dataset

Sizes = NDArray[np.float64]

RATIO = 4.0  # a box counts as reachable if its sides differ from an anchor's by less than this factor
SMALL_GAIN = 0.03  # new anchors must raise the mean IoU by this much to be recommended
SAMPLE = 10_000  # boxes used for clustering; all boxes are used for judging
SCREENED = 4_000  # boxes with which all starts are tried …
POLISHED = 5  # … and how many of them are tried with all boxes
MAX_ITERATIONS = 1000


@dataclass(frozen=True, slots=True)
class Judgement:
    """How well anchors fit boxes.

    Attributes:
        mean_iou: mean over the boxes of the IoU with the best anchor, 0…1.
        recall: best possible recall: share of boxes of which some anchor is within a factor of 4 in
            width and height, 0…1.
    """

    mean_iou: float
    recall: float


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """Result of :func:`kmeans`.

    Attributes:
        anchors: (k, 2) sorted by area.
        mean_iou: mean best IoU over the boxes, 0…1.
        iterations: rounds until convergence, in the best run.
    """

    anchors: Sizes
    mean_iou: float
    iterations: int


def _minus_squared_distance(sizes: Sizes, centres: Sizes) -> Sizes:
    """(n, k), the larger the closer."""
    closeness: Sizes = -((sizes[:, None] - centres) ** 2).sum(2)
    return closeness


_Closeness = Callable[[Sizes, Sizes], Sizes]
_CLOSENESS: dict[str, _Closeness] = {"iou": iou_of_sizes, "l2": _minus_squared_distance}


def judge(boxes: ArrayLike, anchors: ArrayLike) -> Judgement:
    """Mean best IoU and best possible recall of anchors for boxes.

    Raises:
        DataError: there are no boxes.
    """
    sizes = checked_sizes(boxes)
    targets = np.asarray(anchors, float)
    total, reached = 0.0, 0
    for part in np.array_split(sizes, len(sizes) // SAMPLE + 1):
        total += float(iou_of_sizes(part, targets).max(1).sum())
        ratio = part[:, None] / targets[None]
        worst = np.maximum(ratio, 1 / ratio).max(2).min(1)
        reached += int((worst < RATIO).sum())
    return Judgement(total / len(sizes), reached / len(sizes))


def kmeans(
    boxes: ArrayLike,
    count: int,
    *,
    metric: str = "iou",
    restarts: int = 100,
    seed: int = 0,
    generations: int = 0,
) -> Clusters:
    """Anchors by k-means, the best of many starts.

    Args:
        boxes: (n, 2) widths and heights in pixels.
        count: number of anchors.
        metric: distance, ``"iou"`` (1 − IoU, as Darknet) or ``"l2"`` (Euclid).
        restarts: independent starts.
        seed: of the random starts; the same seed gives the same anchors.
        generations: rounds of genetic refinement of the winner; 0 for none.

    Raises:
        DataError: there are fewer different boxes than anchors.
        ValueError: the metric is unknown.
    """
    sizes = checked_sizes(boxes)
    rng = np.random.default_rng(seed)
    sample = sizes if len(sizes) <= SAMPLE else rng.choice(sizes, SAMPLE, replace=False)
    different = len(np.unique(sample, axis=0))
    if different < count:
        raise DataError(f"{count} anchors need {count} different box sizes; there are {different}")
    if metric not in _CLOSENESS:
        raise ValueError(f"metric is {metric!r}, expected 'iou' or 'l2'")
    centres, iterations = _best_of(sample, count, restarts, rng, _CLOSENESS[metric])
    if generations:
        centres = _evolve(sample, centres, generations, rng)
    centres = centres[np.argsort(centres.prod(1), kind="stable")]
    return Clusters(centres, judge(sizes, centres).mean_iou, iterations)


def _best_of(
    sizes: Sizes, count: int, restarts: int, rng: np.random.Generator, closeness: _Closeness
) -> tuple[Sizes, int]:
    """Many starts on a small part of the boxes, then the best few on all of them."""
    part = sizes if len(sizes) <= SCREENED else rng.choice(sizes, SCREENED, replace=False)
    if len(np.unique(part, axis=0)) < count:
        part = sizes
    starts = [_run(part, start, closeness) for start in _starts(part, count, restarts, rng)]
    best = sorted(starts, key=lambda run: run[0], reverse=True)[:POLISHED]
    if len(part) < len(sizes):
        best = [_run(sizes, centres, closeness) for _, centres, _ in best]
    _, centres, iterations = max(best, key=lambda run: run[0])
    return centres, iterations


def _starts(sizes: Sizes, count: int, restarts: int, rng: np.random.Generator) -> Iterator[Sizes]:
    """Random boxes as centres, as in Darknet; every fourth time spread out by k-means++."""
    different = np.unique(sizes, axis=0)
    for number in range(restarts):
        if number % 4 == 3:
            yield spread_out(different, count, rng)
        else:
            yield rng.choice(different, count, replace=False)


def spread_out(sizes: Sizes, count: int, rng: np.random.Generator) -> Sizes:
    """k-means++: draw boxes with a probability that grows with the squared distance to those drawn before.

    Args:
        sizes: (n, 2), all different.
        count: of boxes to draw, at most n.
        rng: source of randomness.
    """
    drawn = [sizes[rng.integers(len(sizes))]]
    distance = np.full(len(sizes), np.inf)
    while len(drawn) < count:
        distance = np.minimum(distance, ((sizes - drawn[-1]) ** 2).sum(1))
        drawn.append(sizes[rng.choice(len(sizes), p=distance / distance.sum())])
    return np.array(drawn)


def _run(sizes: Sizes, start: Sizes, closeness: _Closeness) -> tuple[float, Sizes, int]:
    centres, iterations = lloyd(sizes, start, closeness)
    return float(closeness(sizes, centres).max(1).mean()), centres, iterations


def lloyd(sizes: Sizes, centres: Sizes, closeness: _Closeness = iou_of_sizes) -> tuple[Sizes, int]:
    """Assign to the closest centre and average, until no box changes its centre.

    Returns:
        The centres and the number of rounds.  An empty cluster keeps its centre.
    """
    centres = centres.copy()
    assigned = np.full(len(sizes), -1)
    for iteration in range(1, MAX_ITERATIONS + 1):
        closest = closeness(sizes, centres).argmax(1)
        if (closest == assigned).all():
            return centres, iteration - 1
        assigned = closest
        members = np.bincount(assigned, minlength=len(centres))
        for axis in (0, 1):
            sums = np.bincount(assigned, weights=sizes[:, axis], minlength=len(centres))
            np.divide(sums, members, out=centres[:, axis], where=members > 0)
    return centres, MAX_ITERATIONS


def _evolve(sizes: Sizes, centres: Sizes, generations: int, rng: np.random.Generator) -> Sizes:
    """Change some sides by about a tenth at random, and keep changes that raise the mean best IoU."""
    best, best_iou = centres, float(iou_of_sizes(sizes, centres).max(1).mean())
    for _ in range(generations):
        change = np.where(rng.random(best.shape) < 0.5, rng.normal(1, 0.1, best.shape), 1).clip(0.3, 3)
        trial = best * change
        mean = float(iou_of_sizes(sizes, trial).max(1).mean())
        if mean > best_iou:
            best, best_iou = trial, mean
    return best


def worthwhile(new: Judgement, old: Judgement) -> bool:
    """Whether new anchors improve enough to replace the old ones and the weights trained with them."""
    return new.mean_iou - old.mean_iou >= SMALL_GAIN or (old.recall < 0.98 and new.recall > old.recall)


def recommend(new: Judgement, old: Judgement) -> str:
    """One sentence: change the anchors, or keep them because the gain is small."""
    advice = "Change the anchors" if worthwhile(new, old) else "Keep the anchors, the gain is small"
    return (
        f"{advice}: mean IoU {old.mean_iou:.1%} → {new.mean_iou:.1%}, "
        f"best possible recall {old.recall:.1%} → {new.recall:.1%}."
    )


def parse(text: str, name: str = "anchors") -> list[tuple[float, float]]:
    """Pairs from text such as ``10,14,  23,27``; also from a line ``anchors = …``.

    Raises:
        CfgError: the text is not an even number of positive numbers.
    """
    body = text.partition("=")[2] if "=" in text else text
    items = [item for item in re.split(r"[,\s]+", body.strip()) if item]
    try:
        numbers = [float(item) for item in items]
    except ValueError:
        raise CfgError(f"{name}: found {text.strip()[:60]!r}, expected numbers like 10,14, 23,27") from None
    if not numbers or len(numbers) % 2 or min(numbers) <= 0:
        raise CfgError(f"{name}: found {len(numbers)} numbers, expected pairs of positive width and height")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def read(path: Path) -> list[tuple[float, float]]:
    """Anchors from a file: ``anchors.txt`` as Darknet writes it, or the heads of a ``.cfg``.

    Raises:
        FileError: the file cannot be read.
        CfgError: it holds no anchors.
    """
    from pydarknet.cfg import CfgFile

    if path.suffix == ".cfg":
        return of_cfg(CfgFile.load(path))
    try:
        return parse(path.read_text("utf-8"), str(path))
    except OSError as error:
        raise FileError(f"{path}: cannot read the anchors: {error.strerror}") from error


def of_cfg(cfg: CfgFile) -> list[tuple[float, float]]:
    """Anchors of the first head, in pixels of the network input.

    Raises:
        CfgError: the network has no head with anchors.
    """
    for head in cfg.heads:
        if "anchors" in head:
            numbers = head.numbers("anchors")
            scale = 32 if head.type == "region" else 1  # YOLOv2 counts in cells
            return [(w * scale, h * scale) for w, h in zip(numbers[::2], numbers[1::2], strict=False)]
    raise CfgError(f"{cfg.path}: no [yolo] section with anchors")


def text(anchors: ArrayLike, width: int = 416) -> str:
    """Anchors as Darknet prints them: whole pixels, four decimals for networks up to 32 pixels wide."""
    form = "{:3.0f},{:3.0f}" if width > 32 else "{:2.4f},{:2.4f}"
    return ", ".join(form.format(w, h) for w, h in np.asarray(anchors, float))


def put(cfg: CfgFile, anchors: Sequence[tuple[float, float]] | Sizes) -> None:
    """Write anchors into every ``[yolo]`` of a cfg, with masks by stride and the filters they need.

    Raises:
        CfgError: the anchors do not divide among the heads, or the network is impossible.
    """
    from pydarknet.cfg.edit import head_filters
    from pydarknet.cfg.generate import split_masks
    from pydarknet.cfg.shapes import walk

    heads = [node for node in walk(cfg) if node.type in ("yolo", "Gaussian_yolo")]
    if not heads:
        raise CfgError(f"{cfg.path}: no [yolo] section to write anchors into")
    pairs = sorted(((round(w), round(h)) for w, h in anchors), key=lambda pair: pair[0] * pair[1])
    masks = split_masks(len(pairs), [round(cfg.net.integer("width") / node.dst[0]) for node in heads])
    for node, mask in zip(heads, masks, strict=True):
        node.section.set("anchors", ", ".join(f"{w},{h}" for w, h in pairs))
        node.section.set("mask", mask)
        node.section.set("num", len(pairs))
        cfg.layers[node.index - 1].set("filters", head_filters(node.section))


def sizes_of(dataset: Dataset, width: int, height: int, letter_box: bool = False) -> Sizes:
    """Widths and heights of all boxes of a data set in pixels of the network input, (n, 2).

    Args:
        dataset: its images must have a known size.
        width: of the network input in pixels.
        height: of the network input in pixels.
        letter_box: images keep their aspect ratio instead of being stretched to the input.
    """
    parts = [np.empty((0, 2))]
    for sample in dataset:
        scale = np.array([width / sample.width, height / sample.height])
        corners = sample.boxes[sample.target]
        parts.append((corners[:, 2:] - corners[:, :2]) * (scale.min() if letter_box else scale))
    return np.concatenate(parts)


def checked_sizes(boxes: ArrayLike) -> Sizes:
    """Widths and heights (n, 2), float64, of the boxes that have both, finite and above 0.

    Raises:
        DataError: no box has.
    """
    sizes: Sizes = np.asarray(boxes, float).reshape(-1, 2)
    sizes = sizes[np.isfinite(sizes).all(1) & (sizes > 0).all(1)]
    if not len(sizes):
        raise DataError("there are no boxes to find anchors for")
    return sizes
