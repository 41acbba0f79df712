# SPDX-License-Identifier: Apache-2.0
"""Numbers about a data set: classes, boxes in network pixels, image sizes, duplicates.

The result is plain data that becomes JSON; :mod:`pydarknet.data.plots` draws it and
:mod:`pydarknet.data.advice` judges it.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from pydarknet.data.dataset import Dataset, Status
from pydarknet.data.issues import Report
from pydarknet.data.similar import content_groups, near_clusters
from pydarknet.errors import DataError
from pydarknet.system import html
from pydarknet.system.notify import Progress, no_progress

#: Box sizes, square root of the area in network pixels, below which shares are given.
SMALL = (8, 16, 32)
#: Network strides of the YOLO family are 32; sizes are multiples of it.
STRIDE = 32
#: Cells of the centre heat map on each side.
HEAT_CELLS = 32
#: A network of the recommended size shows this share of the boxes at 32 pixels or more (no longer small in
#: COCO's sense).
RECOMMENDED_SHARE, RECOMMENDED_PIXELS = 0.9, 32
_LARGEST_RECOMMENDED = 1280

FloatArray = NDArray[np.float64]


class Spread(msgspec.Struct, frozen=True):
    """Smallest, median, mean, 90th percentile and largest of some numbers; all 0 if there are none."""

    min: float = 0.0
    median: float = 0.0
    mean: float = 0.0
    p90: float = 0.0
    max: float = 0.0


class ClassStats(msgspec.Struct, frozen=True):
    """One class: ordinary boxes, images with at least one, boxes per split, and those set aside."""

    name: str
    boxes: int
    images: int
    splits: dict[str, int]
    set_aside: int


class NetworkStats(msgspec.Struct, frozen=True):
    """Box sizes in pixels of a network input, the whole image resized to it.

    ``below`` maps 8, 16 and 32 to the share of boxes whose square root of the area is smaller, and
    ``dropped`` is the number narrower or lower than one pixel, which Darknet leaves out.
    """

    width: int
    height: int
    box_width: Spread
    box_height: Spread
    below: dict[int, float]
    dropped: int


class ImageStats(msgspec.Struct, frozen=True):
    """Sizes of the images in pixels.

    ``longer_side_mean`` is the mean of the larger of width and height; ``recommended`` the smallest multiple
    of 32, at most that mean or 1280, at which a square network shows 90 % of the boxes at 32 pixels or more.
    """

    width: Spread
    height: Spread
    aspect: Spread
    longer_side_mean: float
    recommended: int
    common: list[tuple[int, int, int]]  # width, height, images


class DuplicateStats(msgspec.Struct, frozen=True):
    """Images that are the same file (``exact``) or look alike (``near``, which includes the former).

    Groups hold image paths; ``across`` are the groups whose images are in different splits, ``share`` is the
    fraction of images that are copies of others.
    """

    exact: list[list[str]]
    near: list[list[str]] | None
    across: list[list[str]]
    share: float


class Stats(msgspec.Struct, frozen=True):
    """Statistics of a data set; see the classes of its parts."""

    images: int
    statuses: dict[str, int]
    splits: dict[str, int]
    boxes: int
    set_aside: int
    classes: list[ClassStats]
    boxes_per_image: Spread
    boxes_per_image_counts: dict[int, int]
    box_aspect: Spread
    networks: list[NetworkStats]
    centres: list[list[int]]  # rows from top to bottom
    image_sizes: ImageStats
    duplicates: DuplicateStats | None = None

    def _repr_html_(self) -> str:
        """The classes as a table, for notebooks."""
        splits = list(self.splits)
        rows = (
            [c.name, c.boxes, c.images, *(c.splits.get(split, 0) for split in splits), c.set_aside]
            for c in self.classes
        )
        columns = ["class", "boxes", "images", *(f"boxes in {split}" for split in splits if split)]
        if len(columns) < 3 + len(splits):
            columns.append("boxes in no split")
        title = f"{self.images} images, {self.boxes} boxes, {len(self.classes)} classes"
        return html.titled(title, html.table([*columns, "set aside"], rows, len(self.classes)))

    @property
    def counters_per_class(self) -> str:
        """Value of the cfg key ``counters_per_class``."""
        return ",".join(str(c.boxes) for c in self.classes)


def statistics(
    dataset: Dataset,
    sizes: Sequence[tuple[int, int]] = ((416, 416),),
    *,
    duplicates: str = "none",
    progress: Progress = no_progress,
) -> Stats:
    """Count a data set.

    Args:
        dataset: the data set.
        sizes: network sizes (width, height) at which box sizes are given, multiples of 32.
        duplicates: ``"none"``, ``"exact"`` (reads files of equal length) or ``"near"`` (decodes every image).
        progress: called with ("compare", images done, images in total) while images are compared.

    Raises:
        DataError: if a size is not a multiple of 32, or ``duplicates`` is not one of these.
    """
    for size in itertools.chain.from_iterable(sizes):
        check_size(size)
    boxes = collect_boxes(dataset)
    statuses = Counter(sample.status.value for sample in dataset)
    per_image = Counter(int(sample.target.sum()) for sample in dataset)
    return Stats(
        images=len(dataset),
        statuses={status.value: statuses[status.value] for status in Status},
        splits=dict(Counter(sample.split for sample in dataset)),
        boxes=len(boxes),
        set_aside=dataset.box_count - len(boxes),
        classes=_classes(dataset),
        boxes_per_image=_spread(list(per_image.elements())),
        boxes_per_image_counts=dict(sorted(per_image.items())),
        box_aspect=_spread(boxes[:, 2] * boxes[:, 4] / (boxes[:, 3] * boxes[:, 5])),
        networks=[_network(boxes, width, height) for width, height in sizes],
        centres=_heat(boxes).tolist(),
        image_sizes=_image_sizes(dataset, boxes),
        duplicates=_duplicates(dataset, duplicates, progress),
    )


def check_size(size: int) -> None:
    """Check that a network side is a multiple of the stride.

    Raises:
        DataError: if it is not; the message gives the two nearest multiples.
    """
    if size < STRIDE or size % STRIDE:
        low = max(STRIDE, size // STRIDE * STRIDE)
        raise DataError(
            f"a network side must be a multiple of {STRIDE}; {size} is not, {low} and {low + STRIDE} are"
        )


def collect_boxes(dataset: Dataset) -> FloatArray:
    """Ordinary boxes as (n, 6) rows: centre x, y, width, height as fractions, image width, height."""
    rows = []
    for sample in dataset:
        chosen = sample.boxes[sample.target]
        if len(chosen):
            size = np.array((sample.width, sample.height), np.float64)
            centre = (chosen[:, :2] + chosen[:, 2:]) / 2 / size
            rows.append(
                np.hstack([centre, (chosen[:, 2:] - chosen[:, :2]) / size, np.tile(size, (len(chosen), 1))])
            )
    return np.concatenate(rows) if rows else np.empty((0, 6))


def _classes(dataset: Dataset) -> list[ClassStats]:
    n = len(dataset.names)
    boxes, aside, images = Counter[int](), Counter[int](), Counter[int]()
    splits: list[Counter[str]] = [Counter() for _ in range(n)]
    for sample in dataset:
        own = Counter(sample.classes[sample.target].tolist())
        boxes.update(own)
        images.update(own.keys())
        aside.update(sample.classes[~sample.target].tolist())
        for label, count in own.items():
            splits[label][sample.split] += count
    return [
        ClassStats(name, boxes[i], images[i], dict(splits[i]), aside[i])
        for i, name in enumerate(dataset.names)
    ]


def _spread(values: FloatArray | Sequence[float]) -> Spread:
    if not len(values):
        return Spread()
    array = np.asarray(values, np.float64)
    low, median, p90, high = np.percentile(array, (0, 50, 90, 100)).tolist()
    return Spread(low, median, float(array.mean()), p90, high)


def _network(boxes: FloatArray, width: int, height: int) -> NetworkStats:
    w, h = boxes[:, 2] * width, boxes[:, 3] * height
    side = np.sqrt(w * h)
    below = {limit: float((side < limit).mean()) if len(boxes) else 0.0 for limit in SMALL}
    return NetworkStats(width, height, _spread(w), _spread(h), below, int(((w < 1) | (h < 1)).sum()))


def _heat(boxes: FloatArray) -> NDArray[np.int64]:
    cells = np.clip((boxes[:, :2] * HEAT_CELLS).astype(np.int64), 0, HEAT_CELLS - 1)
    heat = np.zeros((HEAT_CELLS, HEAT_CELLS), np.int64)
    np.add.at(heat, (cells[:, 1], cells[:, 0]), 1)
    return heat


def _image_sizes(dataset: Dataset, boxes: FloatArray) -> ImageStats:
    sizes = Counter((sample.width, sample.height) for sample in dataset)
    array = np.array(list(sizes.elements()), np.float64).reshape(-1, 2)
    mean = float(array.max(axis=1).mean()) if len(array) else 0.0
    return ImageStats(
        _spread(array[:, 0]),
        _spread(array[:, 1]),
        _spread(array[:, 0] / array[:, 1]),
        mean,
        _recommended(boxes, mean),
        [(width, height, count) for (width, height), count in sizes.most_common(10)],
    )


def _recommended(boxes: FloatArray, longer_side: float) -> int:
    """A larger network than the images themselves would only magnify."""
    largest = min(_LARGEST_RECOMMENDED, max(STRIDE, math.ceil(longer_side / STRIDE) * STRIDE))
    if not len(boxes):
        return largest
    share = np.quantile(np.sqrt(boxes[:, 2] * boxes[:, 3]), 1 - RECOMMENDED_SHARE)
    needed = math.ceil(RECOMMENDED_PIXELS / max(float(share), 1e-9) / STRIDE) * STRIDE
    return min(largest, needed)


def _duplicates(dataset: Dataset, how: str, progress: Progress) -> DuplicateStats | None:
    if how == "none":
        return None
    if how not in ("exact", "near"):
        raise DataError(f"duplicates are none, exact or near, not {how!r}")
    images = [sample.image for sample in dataset]
    unread = Report()  # the preflight reports unreadable images
    exact = content_groups(images, report=unread, progress=progress)
    near = near_clusters(images, report=unread, progress=progress) if how == "near" else None
    widest = exact if near is None else near
    spare = sum(len(group) - 1 for group in widest)

    def paths(groups: Iterable[list[int]]) -> list[list[str]]:
        return [[str(images[number]) for number in group] for group in groups]

    return DuplicateStats(
        paths(exact),
        None if near is None else paths(near),
        paths(group for group in widest if len({dataset[number].split for number in group}) > 1),
        spare / max(1, len(images)),
    )
