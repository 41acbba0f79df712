# SPDX-License-Identifier: Apache-2.0
"""The canonical data set: every format is read into it and written from it.

A :class:`Dataset` is frozen: operations return new ones. Boxes are float64 corners on pixel *edges*: the
left edge of an image is 0 and the right edge is its width, so ``x2 - x1`` is the width of a box, whichever
convention the file format has.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pydarknet.data.issues import Report
from pydarknet.engine.image_header import image_size
from pydarknet.errors import DataError
from pydarknet.system import html

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]

#: Class index of an ignore region that stands for every class (KITTI's DontCare).
ANY_CLASS = -1


class Status(str, enum.Enum):
    """Annotation state of an image. An unlabelled image must not be trained on as background."""

    ANNOTATED = "annotated"  #: annotated; the boxes are complete
    BACKGROUND = "background"  #: confirmed empty
    UNLABELLED = "unlabelled"  #: not annotated


class Flag(enum.IntFlag):
    """Properties of a box; a bit set."""

    DIFFICULT = 1
    CROWD = 2
    IGNORE = 4
    OCCLUDED = 8
    TRUNCATED = 16


#: A box with any of these flags is not an ordinary training target.
SET_ASIDE = Flag.DIFFICULT | Flag.CROWD | Flag.IGNORE


_FLAG_NAMES = {
    "difficult": int(Flag.DIFFICULT),
    "crowd": int(Flag.CROWD),
    "ignore": int(Flag.IGNORE),
    "occluded": int(Flag.OCCLUDED),
    "truncated": int(Flag.TRUNCATED),
}


def flag_names(flags: int) -> dict[str, bool]:
    """The flags of a box as the attributes that annotation tools show."""
    return {name: True for name, flag in _FLAG_NAMES.items() if flags & flag} if flags else {}


def flags_from(attributes: Mapping[str, Any]) -> int:
    """The flags among a tool's free attributes: ``true``, ``1``, ``"true"``, ``"yes"``."""
    flags = 0
    for name, value in attributes.items():
        flag = _FLAG_NAMES.get(name.strip().lower())
        if flag is not None and str(value).strip().lower() in ("true", "1", "1.0", "yes"):
            flags |= flag
    return flags


def _frozen(values: ArrayLike, dtype: type, shape: tuple[int, ...]) -> NDArray[Any]:
    array: NDArray[Any] = np.array(values, dtype=dtype).reshape(shape)
    array.flags.writeable = False
    return array


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One image with its boxes and annotation state.

    Attributes:
        image: path of the image file.
        boxes: (n, 4) float64, x1 y1 x2 y2 in pixels of the image after EXIF rotation, inside the image.
        classes: (n,) int64, index into ``Dataset.names``; ``ANY_CLASS`` only together with ``Flag.IGNORE``.
        flags: (n,) uint8, bits of :class:`Flag`; all 0 if not given.
        scores: (n,) float64 in 0…1, or ``None`` for labels made by annotators.
        size: (width, height) in pixels if known; :attr:`width` and :attr:`height` read the image header
            otherwise.
        status: annotated, background or unlabelled; derived from the number of boxes if not given.
        split: ``"train"``, ``"val"``, ``"test"``, or ``""`` for a set without splits.
        name: the image's name inside the set, with ``/`` between folders; the file's name if not given.
        source: the label file this came from, for messages; may be empty.

    Raises:
        DataError: if the arrays differ in length, or an unlabelled or background image has boxes.
    """

    image: Path
    boxes: FloatArray = field(default_factory=lambda: np.empty((0, 4)))
    classes: IntArray = field(default_factory=lambda: np.empty(0, np.int64))
    flags: NDArray[np.uint8] = None  # type: ignore[assignment]
    scores: FloatArray | None = None
    size: tuple[int, int] | None = None
    status: Status = None  # type: ignore[assignment]
    split: str = ""
    name: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "image", Path(self.image))
        try:
            set_(self, "boxes", _frozen(self.boxes, np.float64, (-1, 4)))
            n = len(self.boxes)
            set_(self, "classes", _frozen(self.classes, np.int64, (n,)))
            flags = np.zeros(n) if cast(object, self.flags) is None else self.flags
            set_(self, "flags", _frozen(flags, np.uint8, (n,)))
            if self.scores is not None:
                set_(self, "scores", _frozen(self.scores, np.float64, (n,)))
        except ValueError as error:
            raise DataError(
                f"{self.image}: boxes, classes, flags and scores differ in length: {error}"
            ) from None
        if cast(object, self.status) is None:
            set_(self, "status", Status.ANNOTATED if n else Status.BACKGROUND)
        elif n and self.status != Status.ANNOTATED:
            raise DataError(f"{self.image}: a {self.status.value} image cannot have {n} boxes")
        if not self.name:
            set_(self, "name", self.image.name)

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def width(self) -> int:
        """Width in pixels; reads the image's header if :attr:`size` is not known."""
        return self._size()[0]

    @property
    def height(self) -> int:
        """Height in pixels; reads the image's header if :attr:`size` is not known."""
        return self._size()[1]

    @property
    def difficult(self) -> BoolArray:
        """(n,) bool: hard to recognise; evaluations ignore it (VOC)."""
        return self._flag(Flag.DIFFICULT)

    @property
    def crowd(self) -> BoolArray:
        """(n,) bool: one box around a group (COCO iscrowd, Open Images IsGroupOf)."""
        return self._flag(Flag.CROWD)

    @property
    def ignore(self) -> BoolArray:
        """(n,) bool: a region that is neither trained nor evaluated on."""
        return self._flag(Flag.IGNORE)

    @property
    def target(self) -> BoolArray:
        """(n,) bool: an ordinary training target, that is neither difficult nor crowd nor ignore."""
        return ~self._flag(SET_ASIDE)

    @property
    def emptied(self) -> bool:
        """Whether the image lost all its boxes: it shows objects, so it must not count as background."""
        return self.status is Status.ANNOTATED and not len(self)

    def select(self, keep: ArrayLike) -> Sample:
        """The same image with only the boxes chosen by a mask or by indices.

        A sample that loses its last box keeps the status annotated, see :attr:`emptied`.
        """
        keep = np.asarray(keep)
        keep = keep.astype(np.int64) if keep.size == 0 and keep.dtype != np.bool_ else keep
        return self.replace(
            boxes=self.boxes[keep],
            classes=self.classes[keep],
            flags=self.flags[keep],
            scores=None if self.scores is None else self.scores[keep],
        )

    def replace(self, **changes: object) -> Sample:
        """The same sample with some attributes changed."""
        values = {name: getattr(self, name) for name in Sample.__dataclass_fields__}
        return Sample(**{**values, **changes})

    def _flag(self, bits: Flag) -> BoolArray:
        return np.asarray((self.flags & np.uint8(bits)) != 0)

    def _size(self) -> tuple[int, int]:
        return self.size or image_size(self.image)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images, boxes and class names.

    Attributes:
        samples: the images in a fixed order.
        names: class names; the position is the class index.
        report: issues of reading and of later operations.

    Raises:
        DataError: if names repeat, or a class index has no name.
    """

    samples: tuple[Sample, ...]
    names: tuple[str, ...]
    report: Report = field(default_factory=Report, repr=False)

    def __init__(self, samples: Iterable[Sample], names: Iterable[str], report: Report | None = None) -> None:
        object.__setattr__(self, "samples", tuple(samples))
        object.__setattr__(self, "names", tuple(names))
        object.__setattr__(self, "report", report if report is not None else Report())
        if len(set(self.names)) != len(self.names):
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise DataError(f"class names must be unique; given twice: {', '.join(twice)}")
        for sample in self.samples:
            self._check_classes(sample)

    def _check_classes(self, sample: Sample) -> None:
        if not len(sample):
            return
        low, high = int(sample.classes.min()), int(sample.classes.max())
        if high >= len(self.names) or low < ANY_CLASS:
            worst = high if high >= len(self.names) else low
            raise DataError(f"{sample.image}: class {worst} is outside 0…{len(self.names) - 1}")
        if low == ANY_CLASS and not sample.ignore[sample.classes == ANY_CLASS].all():
            raise DataError(f"{sample.image}: a box without a class must have Flag.IGNORE")

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]

    def __repr__(self) -> str:
        return f"Dataset({len(self.samples)} images, {self.box_count} boxes, {len(self.names)} classes)"

    def _repr_html_(self) -> str:
        """Images and boxes per class and split, for notebooks."""
        splits = self.splits
        ids = [np.concatenate([[], *(s.classes for s in self if s.split == split)]) for split in splits]
        rows = ([name, *(int((found == i).sum()) for found in ids)] for i, name in enumerate(self.names))
        images = [f"{split or 'images'} ({sum(s.split == split for s in self)} images)" for split in splits]
        return html.titled(repr(self), html.table(["class", *images], rows, len(self.names)))

    @property
    def box_count(self) -> int:
        """Number of boxes in all samples, those set aside included."""
        return sum(len(sample) for sample in self.samples)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that occur, in order of appearance."""
        return tuple(dict.fromkeys(sample.split for sample in self.samples))

    def only(self, split: str) -> Dataset:
        """The samples of one split, with the same class names."""
        return self.replace(samples=[sample for sample in self.samples if sample.split == split])

    def replace(
        self,
        samples: Iterable[Sample] | None = None,
        names: Iterable[str] | None = None,
        report: Report | None = None,
    ) -> Dataset:
        """The same data set with some attributes changed."""
        return Dataset(
            self.samples if samples is None else samples,
            self.names if names is None else names,
            self.report if report is None else report,
        )
