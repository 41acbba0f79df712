# SPDX-License-Identifier: Apache-2.0
"""Split a data set into the images to train on and those to validate on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pydarknet.data.dataset import Dataset, Sample, Status
from pydarknet.errors import DataError


@dataclass(frozen=True)
class Splits:
    """The images of a training.

    Attributes:
        names: class names.
        train: images to train on; those without boxes are negatives.
        valid: images to validate on; may be empty.
        unlabelled: images left out because they have no label file.
        emptied: images left out because none of their boxes can be used.
    """

    names: tuple[str, ...]
    train: tuple[Sample, ...]
    valid: tuple[Sample, ...]
    unlabelled: tuple[Sample, ...]
    emptied: tuple[Sample, ...] = ()

    @classmethod
    def of(cls, dataset: Dataset, val_fraction: float | None = None, seed: int = 0) -> Splits:
        """Split a data set: all images that are neither validation nor test are for training.

        Args:
            dataset: the whole data set.
            val_fraction: fraction of the training images to hold out for validation, 0..1.
            seed: chooses the images to hold out.

        Raises:
            DataError: no images are left to train on, or the data set already has validation images and
                ``val_fraction`` is set.
        """
        emptied = tuple(sample for sample in dataset if sample.emptied)
        known = [sample for sample in dataset if not sample.emptied and sample.status != Status.UNLABELLED]
        unlabelled = tuple(sample for sample in dataset if sample.status == Status.UNLABELLED)
        train = tuple(sample for sample in known if sample.split not in ("val", "test"))
        if not train:
            why = f"; {len(unlabelled)} images have no label file" if unlabelled else ""
            why += f"; {len(emptied)} have no box that can be used" if emptied else ""
            raise DataError(f"the data set has no images to train on{why}")
        valid = tuple(sample for sample in known if sample.split == "val")
        if val_fraction is not None:
            if valid:
                raise DataError(
                    f"the data set already has {len(valid)} validation images; leave out --val-fraction"
                )
            train, valid = _held_out(train, val_fraction, seed)
        return cls(dataset.names, train, valid, unlabelled, emptied)

    def bytes(self, channels: int) -> int:
        """Memory of all training and validation images when decoded to uint8, in bytes."""
        return sum(sample.width * sample.height for sample in (*self.train, *self.valid)) * channels


def _held_out(
    train: tuple[Sample, ...], fraction: float, seed: int
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Split by image file, so that an image listed twice is never on both sides."""
    files = sorted({str(sample.image) for sample in train})
    count = round(fraction * len(files))
    if not 0 < count < len(files):
        raise DataError(
            f"a validation fraction of {fraction:g} puts {count} of {len(files)} images in validation; "
            "expected at least one image on each side"
        )
    chosen = {files[i] for i in np.random.default_rng(seed).permutation(len(files))[:count]}
    parts: tuple[list[Sample], list[Sample]] = [], []
    for sample in train:
        parts[str(sample.image) in chosen].append(sample)
    return tuple(parts[0]), tuple(parts[1])
