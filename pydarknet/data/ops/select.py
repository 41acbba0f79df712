# SPDX-License-Identifier: Apache-2.0
"""Leave out images or boxes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import numpy as np

from pydarknet.data.dataset import BoolArray, Dataset, Sample, Status
from pydarknet.data.issues import Report
from pydarknet.data.ops.expression import box_condition, closest, image_condition
from pydarknet.data.ops.hash_order import rank
from pydarknet.data.records import parse_min_size
from pydarknet.data.similar import content_groups, near_clusters
from pydarknet.errors import DataError


def drop_images(dataset: Dataset, condition: str | Callable[[Sample], bool]) -> Dataset:
    """Leave out the images that meet a condition.

    Args:
        dataset: the data set; image files are never changed.
        condition: an expression such as ``"count(screwdriver) > 3 or width < 100"``, see
            :mod:`pydarknet.data.ops.expression`, or a function of a sample.

    Raises:
        DataError: if the expression is malformed or names an unknown class or variable.
    """
    test = image_condition(condition, dataset.names) if isinstance(condition, str) else condition
    return dataset.replace(samples=[sample for sample in dataset if not test(sample)])


def drop_boxes(dataset: Dataset, condition: str, *, keep_emptied: bool = False) -> Dataset:
    """Leave out the boxes that meet a condition.

    Args:
        dataset: the data set.
        condition: an expression such as ``"height < 8 and label == 'person'"``, see
            :mod:`pydarknet.data.ops.expression`.
        keep_emptied: keep images that lost their last box; they would become background although the object
            is there.

    Raises:
        DataError: as :func:`drop_images`.
    """
    test = box_condition(condition, dataset.names)

    def keep(sample: Sample) -> BoolArray:
        return np.array([not test(sample, i) for i in range(len(sample))], dtype=bool)

    return keep_boxes(dataset, keep, keep_emptied, Report(list(dataset.report.issues)))


def drop_small(
    dataset: Dataset, min_size: str, *, splits: Collection[str] | None = None, keep_emptied: bool = False
) -> Dataset:
    """Leave out boxes narrower or lower than a size; each one is in the report.

    Args:
        dataset: the data set.
        min_size: ``"5"`` pixels of the image or ``"5@416x416"`` pixels of a network of that size.
        splits: only in these splits; ``None`` = in all.
        keep_emptied: keep images that lost their last box.

    Raises:
        DataError: if ``min_size`` has another form.
    """
    limit, network = parse_min_size(min_size)
    report = Report(list(dataset.report.issues))

    def keep(sample: Sample) -> BoolArray:
        if not len(sample) or (splits is not None and sample.split not in splits):
            return np.ones(len(sample), dtype=bool)
        scale = np.array(network) / (sample.width, sample.height) if network else np.ones(2)
        sides = (sample.boxes[:, 2:] - sample.boxes[:, :2]) * scale
        large = np.asarray((sides >= limit).all(axis=1))
        for class_id, (w, h) in zip(sample.classes[~large].tolist(), sides[~large].tolist(), strict=True):
            name = dataset.names[class_id] if class_id >= 0 else "any class"
            text = f"{name} of {w:.3g}x{h:.3g} is smaller than {min_size}"
            report.add("too-small", text, sample.source or sample.image)
        return large

    return keep_boxes(dataset, keep, keep_emptied, report)


def drop_duplicates(dataset: Dataset, how: str = "exact") -> Dataset:
    """Keep only the first of several equal images; the others are in the report.

    Args:
        dataset: the data set.
        how: ``"exact"`` compares file contents, ``"near"`` also finds rescaled, recompressed or noisy copies.

    Raises:
        DataError: if ``how`` is neither.
    """
    if how not in ("exact", "near"):
        raise DataError(f"duplicates are exact or near, not {how!r}")
    report = Report(list(dataset.report.issues))
    images: list[Path] = [sample.image for sample in dataset]
    groups = content_groups(images, report=report) if how == "exact" else near_clusters(images, report=report)
    gone: set[int] = set()
    for first, *others in groups:
        gone.update(others)
        for number in others:
            report.add("duplicate-image", f"repeats {images[first]}", images[number])
    kept = [sample for number, sample in enumerate(dataset) if number not in gone]
    return dataset.replace(samples=kept, report=report)


def only_class(dataset: Dataset, name: str) -> Dataset:
    """Only boxes of one class, and only images that have one; class indices stay.

    Raises:
        DataError: if there is no such class.
    """
    if name not in dataset.names:
        raise DataError(f"no class {name!r}; {closest(name, dataset.names)}")
    class_id = dataset.names.index(name)
    found = (sample.select(sample.classes == class_id) for sample in dataset)
    return dataset.replace(samples=[sample for sample in found if len(sample)])


def shuffled(samples: Iterable[Sample], seed: int) -> list[Sample]:
    """The samples in an order that depends on the seed and their names."""
    return sorted(samples, key=lambda sample: rank(seed, sample.name))


def keep_boxes(
    dataset: Dataset, keep: Callable[[Sample], BoolArray], keep_emptied: bool, report: Report
) -> Dataset:
    """The data set with only the boxes for which the mask of a sample is true, and this report.

    An image that loses its last box is left out and reported, or with ``keep_emptied`` becomes background.
    """
    samples = []
    for sample in dataset:
        mask = keep(sample)
        if mask.all():
            samples.append(sample)
        elif mask.any():
            samples.append(sample.select(mask))
        elif keep_emptied:
            samples.append(sample.select(mask).replace(status=Status.BACKGROUND))
        else:
            reason = "all its boxes were dropped; not known to be background"
            report.add("emptied", reason, sample.image, action="left out")
    return dataset.replace(samples=samples, report=report)
