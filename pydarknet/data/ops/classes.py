# SPDX-License-Identifier: Apache-2.0
"""Rename, merge, reorder and drop classes; merge several data sets."""

from __future__ import annotations

import numpy as np

from pydarknet.data.classes import ClassPlan
from pydarknet.data.dataset import ANY_CLASS, BoolArray, Dataset, Sample
from pydarknet.data.issues import Report
from pydarknet.data.ops.balance import class_counts
from pydarknet.data.ops.select import keep_boxes


def remap(dataset: Dataset, plan: ClassPlan, *, keep_emptied: bool = False) -> Dataset:
    """Rename, merge, reorder or drop classes.

    Args:
        dataset: the data set; label files are never changed.
        plan: new names, and which classes stay in which order.
        keep_emptied: keep images that lost their last box to a dropped class.

    Returns:
        The data set with new names and class indices. Boxes that became equal by merging are one.

    Raises:
        DataError: if a class of the plan does not exist; the message names close ones.
    """
    counts = {by: _renamed(class_counts(dataset, by), dataset.names, plan) for by in ("images", "boxes")}
    names = plan.choose(dataset.names, counts["images"], counts["boxes"])
    target = {name: number for number, name in enumerate(names)}
    dropped = ANY_CLASS - 1
    # The last entry is ANY_CLASS's own: index -1.
    table = np.array([*(target.get(plan.name(name), dropped) for name in dataset.names), ANY_CLASS])
    report = Report(list(dataset.report.issues))
    kept = keep_boxes(dataset, lambda s: np.asarray(table[s.classes] != dropped), keep_emptied, report)
    samples = [_merged_boxes(s.replace(classes=table[s.classes]), report, names) for s in kept]
    return Dataset(samples, names, report)


def merge(*datasets: Dataset) -> Dataset:
    """All images of several data sets; classes of the same name are one.

    Args:
        datasets: at least one. The classes of the first keep their indices, new ones of the others follow.

    Raises:
        ValueError: if no data set is given.
    """
    if not datasets:
        raise ValueError("merge needs at least one data set")
    names = tuple(dict.fromkeys(name for dataset in datasets for name in dataset.names))
    index = {name: number for number, name in enumerate(names)}
    samples: list[Sample] = []
    for dataset in datasets:
        table = np.array([*(index[name] for name in dataset.names), ANY_CLASS])
        samples += (sample.replace(classes=table[sample.classes]) for sample in dataset)
    report = Report([issue for dataset in datasets for issue in dataset.report.issues])
    return Dataset(samples, names, report)


def _renamed(counts: dict[int, int], names: tuple[str, ...], plan: ClassPlan) -> dict[str, int]:
    found: dict[str, int] = {}
    for number, count in counts.items():
        name = plan.name(names[number])
        found[name] = found.get(name, 0) + count
    return found


def _merged_boxes(sample: Sample, report: Report, names: tuple[str, ...]) -> Sample:
    """Without boxes of equal class and corners; the first of them stays."""
    seen: set[tuple[float, ...]] = set()
    fresh: list[bool] = []
    for class_id, box in zip(sample.classes.tolist(), sample.boxes.tolist(), strict=True):
        fresh.append((class_id, *box) not in seen)
        seen.add((class_id, *box))
        if not fresh[-1]:
            name = names[class_id] if class_id >= 0 else "any class"
            report.add("duplicate", f"two equal boxes of {name}", sample.source or sample.image)
    mask: BoolArray = np.array(fresh, dtype=bool)
    return sample if mask.all() else sample.select(mask)
