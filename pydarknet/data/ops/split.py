# SPDX-License-Identifier: Apache-2.0
"""Divide a data set into train, validation and test, or into k folds.

One rule for sizes: every split but the last gets ``floor(n * ratio)`` images, the last gets the rest, so 900
images at 0.75, 0.125, 0.125 become 675, 112 and 113. The choice depends on the seed and the names of the
images only. Stratification is iterative, rarest class first (Sechidis, Tsoumakas and Vlahavas, "On the
Stratification of Multi-Label Data", ECML PKDD 2011).
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import PurePosixPath

from pydarknet.data.dataset import Dataset, Sample
from pydarknet.data.issues import Report
from pydarknet.data.ops.hash_order import rank
from pydarknet.data.similar import near_clusters
from pydarknet.errors import DataError

#: Names of the splits by their number.
SPLITS = {2: ("train", "val"), 3: ("train", "val", "test")}

GroupBy = str | Callable[[Sample], str] | None

_NO_BOXES = -1  # stands for a class when images without boxes are to be spread evenly too
_ROBOFLOW = re.compile(r"(.+)\.rf\.[0-9A-Za-z]+$")


def split(
    dataset: Dataset,
    ratios: Sequence[float],
    *,
    names: Sequence[str] | None = None,
    seed: int = 0,
    stratify: bool = False,
    group_by: GroupBy = None,
) -> Dataset:
    """Assign every image to a split; earlier splits are discarded.

    Args:
        dataset: the data set; images listed twice stay together.
        ratios: fraction of each split, summing to 1.
        names: names of the splits; train, val (and test) if not given.
        seed: another seed gives another choice.
        stratify: give every split its share of the images of each class, rarest class first.
        group_by: keeps groups in one split: a regular expression searched in the image's name (its groups,
            or else the whole match, name the group), ``"folder"``, ``"roboflow"`` (augmented copies of one
            original), ``"duplicates"`` (images that look alike), or a function of a sample.

    Returns:
        The same samples, in the same order, with new splits.

    Raises:
        DataError: if the ratios do not add up to 1, or the regular expression is not valid.
    """
    names = SPLITS.get(len(ratios)) if names is None else tuple(names)
    if names is None or len(names) != len(ratios):
        raise DataError(f"{len(ratios)} ratios need {len(ratios)} split names")
    sizes = split_sizes(len(dataset), ratios)
    report = Report(list(dataset.report.issues))
    places = _assign(_units(dataset, group_by, stratify, seed, report), sizes, len(dataset))
    for i, name in enumerate(names):
        if i not in places:
            report.add("note", f"no image is left for split {name!r}", name, action="kept empty")
    samples = [s.replace(split=names[place]) for s, place in zip(dataset, places, strict=True)]
    return dataset.replace(samples=samples, report=report)


def folds(
    dataset: Dataset, k: int, *, seed: int = 0, stratify: bool = False, group_by: GroupBy = None
) -> list[Dataset]:
    """Data sets for k-fold cross-validation: each image is in ``val`` once and in ``train`` k - 1 times.

    Args:
        dataset: the data set.
        k: number of folds, at least 2; their sizes differ by at most one image (or group).
        seed: see :func:`split`.
        stratify: see :func:`split`.
        group_by: see :func:`split`.

    Raises:
        DataError: if there are fewer images than folds.
    """
    n = len(dataset)
    if not 2 <= k <= n:
        raise DataError(f"{n} images cannot be divided into {k} folds")
    report = Report(list(dataset.report.issues))
    sizes = [n * (i + 1) // k - n * i // k for i in range(k)]
    places = _assign(_units(dataset, group_by, stratify, seed, report), sizes, n)
    return [
        dataset.replace(
            samples=[
                s.replace(split="val" if place == fold else "train")
                for s, place in zip(dataset, places, strict=True)
            ],
            report=Report(list(report.issues)),
        )
        for fold in range(k)
    ]


def split_sizes(n: int, ratios: Sequence[float]) -> list[int]:
    """Images per split: ``floor(n * ratio)``, and the rest for the last one.

    Raises:
        DataError: if a ratio is negative or they do not add up to 1.
    """
    # Decimal text, not binary floats: 0.29 of 100 is 29, although 100 * 0.29 is 28.999….
    exact = [Fraction(str(ratio)) if math.isfinite(ratio) else Fraction(-1) for ratio in ratios]
    if any(ratio < 0 for ratio in exact) or abs(sum(exact, Fraction(-1))) > Fraction(1, 10**6):
        listed = ", ".join(f"{ratio:g}" for ratio in ratios)
        raise DataError(f"split ratios must be positive and add up to 1; {listed} add up to {sum(ratios):g}")
    sizes = [math.floor(n * ratio) for ratio in exact[:-1]]
    return [*sizes, n - sum(sizes)]


@dataclass
class _Unit:
    """Images that stay together."""

    order: bytes
    members: list[int] = field(default_factory=list)
    labels: Counter[int] = field(default_factory=Counter)  # class -> images that have it


def _units(dataset: Dataset, group_by: GroupBy, stratify: bool, seed: int, report: Report) -> list[_Unit]:
    units: dict[str, _Unit] = {}
    for number, (sample, key) in enumerate(zip(dataset, _group_keys(dataset, group_by, report), strict=True)):
        unit = units.setdefault(key, _Unit(rank(seed, sample.name)))
        unit.order = min(unit.order, rank(seed, sample.name))
        unit.members.append(number)
        present = set(sample.classes.tolist()) if stratify else ()
        unit.labels.update(present or {_NO_BOXES})
    return sorted(units.values(), key=lambda unit: (-len(unit.members), unit.order))


def _group_keys(dataset: Dataset, group_by: GroupBy, report: Report) -> list[str]:
    """Name of the group of each image; an image without a group forms its own."""
    own = [f"\0{sample.image}" for sample in dataset]
    if group_by is None:
        return own
    if group_by == "duplicates":
        for cluster in near_clusters([sample.image for sample in dataset], report=report):
            for number in cluster:
                own[number] = own[cluster[0]]
        return own
    key = _key_function(group_by) if isinstance(group_by, str) else group_by
    found = [key(sample) for sample in dataset]
    if lost := found.count(""):
        report.add("note", f"{lost} images have no group", str(group_by), action="each forms its own")
    return [group or alone for group, alone in zip(found, own, strict=True)]


def _key_function(group_by: str) -> Callable[[Sample], str]:
    if group_by == "folder":
        return lambda sample: str(sample.image.parent)
    if group_by == "roboflow":
        return lambda sample: match[1] if (match := _ROBOFLOW.match(PurePosixPath(sample.name).stem)) else ""
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise DataError(f"group-by {group_by!r} is not a valid regular expression: {error}") from None

    def key(sample: Sample) -> str:
        match = pattern.search(sample.name)
        return "" if match is None else "\0".join(part or "" for part in match.groups()) or match[0]

    return key


def _assign(units: list[_Unit], sizes: list[int], n: int) -> list[int]:
    """The split of every image: rarest label first, each unit to the split that lacks that label most.

    A split without room for a unit gets it only if no split has room.
    """
    total: Counter[int] = Counter()
    having: defaultdict[int, list[_Unit]] = defaultdict(list)
    for unit in units:
        total.update(unit.labels)
        for label in unit.labels:
            having[label].append(unit)
    need = [{label: size * count / n for label, count in total.items()} for size in sizes]
    room = list(sizes)
    left = {label: len(found) for label, found in having.items()}
    place: dict[int, int] = {}
    while left:
        label = min(left, key=lambda label: (left[label], label))
        for unit in having[label]:
            if unit.members[0] in place:
                continue
            size = len(unit.members)
            open_ = [i for i in range(len(sizes)) if room[i] >= size] or range(len(sizes))
            best = max(open_, key=lambda i: (need[i][label], room[i], -i))
            room[best] -= size
            place.update(dict.fromkeys(unit.members, best))
            for other, count in unit.labels.items():
                need[best][other] -= count
                left[other] -= 1
        left = {label: count for label, count in left.items() if count}
    return [place[number] for number in range(n)]
