# SPDX-License-Identifier: Apache-2.0
"""Even out how often classes occur: by leaving images out, or by listing images several times."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from pydarknet.data.dataset import Dataset, Sample
from pydarknet.data.issues import Report
from pydarknet.data.ops.hash_order import rank
from pydarknet.errors import DataError

#: Splits that are balanced: training images only, so that validation results stay comparable.
TRAINED = ("train", "")


def class_counts(samples: Iterable[Sample], by: str = "boxes") -> Counter[int]:
    """How often each class index occurs, boxes set aside not counted.

    Args:
        samples: where to count.
        by: ``"boxes"``, or ``"images"`` that hold at least one box of the class.
    """
    counts: Counter[int] = Counter()
    for sample in samples:
        counts.update(_counts(sample, by))
    return counts


def balance(
    dataset: Dataset,
    max_ratio: float = 1.0,
    *,
    by: str = "boxes",
    seed: int = 0,
    splits: Collection[str] = TRAINED,
) -> Dataset:
    """Leave out images until no class is more than ``max_ratio`` times as frequent as the rarest one.

    The rarest class keeps all its images. Where classes come together in the same images the ratio may be
    out of reach; the report then gives the ratio reached.

    Args:
        dataset: the data set; images without boxes stay.
        max_ratio: most frequent to rarest class, at least 1.
        by: count ``"boxes"`` or ``"images"``.
        seed: another seed chooses other images.
        splits: the splits to thin out; others are unchanged.

    Raises:
        DataError: if ``max_ratio`` is below 1.
    """
    pool, counts = _pool(dataset, max_ratio, by, splits)
    floor = min(counts.values(), default=0)
    cap = math.floor(max_ratio * floor)
    having = _having(pool)
    gone: set[int] = set()
    for label, _ in counts.most_common():
        for number in sorted(
            (number for number in having[label] if number not in gone),
            key=lambda number: _harm(pool[number], counts, cap, rank(seed, dataset[number].name)),
        ):
            if counts[label] <= cap:
                break
            own = pool[number]
            if all(counts[other] - count >= floor for other, count in own.items()):
                counts.subtract(own)
                gone.add(number)
    samples = [sample for number, sample in enumerate(dataset) if number not in gone]
    return dataset.replace(samples=samples, report=_reached(dataset, counts, max_ratio))


def oversample(
    dataset: Dataset,
    max_ratio: float = 1.0,
    *,
    by: str = "boxes",
    seed: int = 0,
    splits: Collection[str] = TRAINED,
    max_repeats: int = 10,
) -> Dataset:
    """List images with rare classes several times, as Darknet users do in ``train.txt``.

    Class by class, rarest first, its images are repeated, evenly, as long as that brings it closer to the
    most frequent class; images with less of the latter come first.

    Args:
        dataset: its samples appear one to ``max_repeats`` times, repetitions next to each other.
        max_ratio: most frequent to rarest class, at least 1.
        by: count ``"boxes"`` or ``"images"``.
        seed: another seed repeats other images.
        splits: the splits in which images are repeated.
        max_repeats: largest number of occurrences of one image.

    Raises:
        DataError: if ``max_ratio`` or ``max_repeats`` is below 1.
    """
    if max_repeats < 1:
        raise DataError(f"max_repeats must be at least 1, not {max_repeats}")
    pool, counts = _pool(dataset, max_ratio, by, splits)
    times = dict.fromkeys(range(len(dataset)), 1)
    having = _having(pool)
    order = {number: rank(seed, dataset[number].name) for number in pool}
    best = (_ratio(counts), times.copy(), counts.copy())
    open_ = set(counts)
    while open_:
        most = max(counts, key=lambda label: (counts[label], -label))
        least = min(open_, key=lambda label: (counts[label], label))
        if counts[most] <= max_ratio * counts[least]:
            break
        helpful = [n for n in having[least] if times[n] < max_repeats and _gain(pool[n], counts, most, least)]
        if not helpful:
            open_.remove(least)
            continue
        # The images with the least of the frequent class first, each once before any comes again.
        purest = min(pool[n][most] / pool[n][least] for n in helpful)
        chosen = [n for n in helpful if pool[n][most] / pool[n][least] == purest]
        for number in sorted(chosen, key=lambda n: (times[n], order[n])):
            if counts[most] <= max_ratio * counts[least] or not _gain(pool[number], counts, most, least):
                break
            times[number] += 1
            counts.update(pool[number])
        # Repeating images of one class can unbalance another that shares them: keep the best state seen.
        if _ratio(counts) < best[0]:
            best = (_ratio(counts), times.copy(), counts.copy())
    _, times, counts = best
    samples = [sample for number, sample in enumerate(dataset) for _ in range(times[number])]
    return dataset.replace(samples=samples, report=_reached(dataset, counts, max_ratio))


def _ratio(counts: Counter[int]) -> float:
    """Most frequent to rarest class; 1 without any."""
    return max(counts.values()) / min(counts.values()) if counts else 1.0


def _gain(own: Counter[int], counts: Counter[int], most: int, least: int) -> bool:
    """Whether one image more brings the two classes closer together."""
    return own[least] * counts[most] > own[most] * counts[least]


def _having(pool: Mapping[int, Counter[int]]) -> dict[int, list[int]]:
    """Indices of the images that contain each class."""
    having: dict[int, list[int]] = {}
    for number, own in pool.items():
        for label in own:
            having.setdefault(label, []).append(number)
    return having


def _counts(sample: Sample, by: str) -> Counter[int]:
    counts = Counter(sample.classes[sample.target].tolist())
    return counts if by == "boxes" else Counter(dict.fromkeys(counts, 1))


def _pool(
    dataset: Dataset, max_ratio: float, by: str, splits: Collection[str]
) -> tuple[dict[int, Counter[int]], Counter[int]]:
    """The images that may be left out or repeated, with their counts, and the counts of all of them."""
    if by not in ("boxes", "images"):
        raise DataError(f"classes are counted by boxes or images, not by {by!r}")
    if not (math.isfinite(max_ratio) and max_ratio >= 1):
        raise DataError(f"max_ratio must be at least 1, not {max_ratio}")
    pool = {number: _counts(sample, by) for number, sample in enumerate(dataset) if sample.split in splits}
    total: Counter[int] = Counter()
    for own in pool.values():
        total.update(own)
    return pool, total


def _harm(own: Counter[int], counts: Counter[int], cap: int, chance: bytes) -> tuple[int, bytes]:
    """Cost of leaving an image out for classes that are not too frequent; ties are broken by the seed."""
    return sum(count for label, count in own.items() if counts[label] <= cap), chance


def _reached(dataset: Dataset, counts: Counter[int], max_ratio: float) -> Report:
    report = Report(list(dataset.report.issues))
    for number, name in enumerate(dataset.names):
        if counts[number] == 0:
            report.add("note", f"class {name!r} has no training box", name, action="ignored")
    found = {label: count for label, count in counts.items() if count}
    if found:
        most, least = max(found, key=found.__getitem__), min(found, key=found.__getitem__)
        ratio = found[most] / found[least]
        if ratio > max_ratio * (1 + 1e-9):
            text = f"{dataset.names[most]} to {dataset.names[least]} is {ratio:.3g}, not {max_ratio:g}"
            report.add("note", f"{text}: they share images", "balance", action="closest ratio reached")
    return report
