# SPDX-License-Identifier: Apache-2.0
"""Advice from the statistics of a data set.

The sizes come from the YOLOv5 authors' "Tips for Best Training Results" (1500 images and 10,000 boxes per
class, up to 10 % background images); Darknet's limit of boxes per image is the cfg key ``max``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import msgspec

from pydarknet.data.stats import Stats

#: A class with fewer boxes than this share of the most frequent one is called rare.
RARE = 0.1
IMAGES_PER_CLASS, BOXES_PER_CLASS = 1500, 10_000
MAX_BACKGROUND = 0.1
MAX_BOXES = 200
_SMALL, _MANY_SMALL = 16, 0.2


class Advice(msgspec.Struct, frozen=True):
    """One piece of advice: a stable code, the text with the remedy, and the classes concerned."""

    code: str
    text: str
    classes: list[str] = []


def advise(stats: Stats) -> list[Advice]:
    """Advice on a data set, the most harmful problem first."""
    return [
        *_trust(stats),
        *_classes(stats),
        *_images(stats),
        *_sizes(stats),
    ]


def _trust(stats: Stats) -> Iterator[Advice]:
    """Problems that invalidate every later measurement."""
    duplicates = stats.duplicates
    if duplicates is not None and duplicates.across:
        text = (
            f"{len(duplicates.across)} groups of equal or look-alike images are in more than one split, so "
            "validation results are too good; split again with --group-by duplicates"
        )
        yield Advice("leak", text)
    if duplicates is not None and duplicates.share > 0.01:
        text = f"{duplicates.share:.1%} of the images repeat others; filter --drop-duplicates removes them"
        yield Advice("duplicates", text)
    if "val" not in stats.splits:
        yield Advice("no-val", "there is no validation split; make one with: pydarknet data split")
    if unlabelled := stats.statuses["unlabelled"]:
        text = (
            f"{unlabelled} images have no label file; they are not used, because objects in them would be "
            "trained as background"
        )
        yield Advice("unlabelled", text)


def _classes(stats: Stats) -> Iterator[Advice]:
    most = max((c.boxes for c in stats.classes), default=0)
    absent = [c.name for c in stats.classes if c.boxes == 0]
    if absent:
        yield Advice("absent", f"no box at all: {_list(absent)}; remap drops classes", absent)
    for split in ("train", "val"):
        lacking = [c.name for c in stats.classes if c.boxes and not c.splits.get(split)]
        if split in stats.splits and lacking:
            text = f"not in {split}: {_list(lacking)}; split again with --stratify"
            yield Advice(f"not-in-{split}", text, lacking)
    rare = [c for c in stats.classes if 0 < c.boxes < RARE * most]
    if rare:
        listed = _list([f"{c.name} ({c.boxes})" for c in rare])
        text = (
            f"fewer than {RARE:.0%} of the most frequent class's {most} boxes: {listed}; "
            "collect more of them, or balance"
        )
        yield Advice("rare", text, [c.name for c in rare])
    few = [c.name for c in stats.classes if c.images < IMAGES_PER_CLASS or c.boxes < BOXES_PER_CLASS]
    if few:
        text = f"below {IMAGES_PER_CLASS} images or {BOXES_PER_CLASS} boxes of a class: {_list(few)}"
        yield Advice("few", f"{text}; more data is the most reliable way to a better model", few)
    for names in _alike([c.name for c in stats.classes]):
        yield Advice("names", f"the same class under several names? {_list(names)}; remap --merge", names)


def _images(stats: Stats) -> Iterator[Advice]:
    looked_at = stats.images - stats.statuses["unlabelled"]
    background = stats.statuses["background"] / max(1, looked_at)
    if background > MAX_BACKGROUND:
        yield Advice("background", f"{background:.0%} of the images are background; up to 10 % help")
    elif looked_at and background == 0:
        yield Advice("background", "no background images; a few (up to 10 %) lower false alarms")
    crowded = sum(n for boxes, n in stats.boxes_per_image_counts.items() if boxes > MAX_BOXES)
    if crowded:
        largest = max(stats.boxes_per_image_counts)
        text = f"{crowded} images have more than {MAX_BOXES} boxes; Darknet trains on a random {MAX_BOXES}"
        yield Advice("crowded", f"{text} of them unless [yolo] says max={largest}")


def _sizes(stats: Stats) -> Iterator[Advice]:
    for network in stats.networks:
        size = f"{network.width}x{network.height}"
        if network.dropped:
            text = f"{network.dropped} boxes are under one pixel at {size} and are not trained on"
            yield Advice("vanishing", text)
        share = network.below[_SMALL]
        if share > _MANY_SMALL:
            text = (
                f"{share:.0%} of the boxes are smaller than {_SMALL} px at {size}; "
                f"{stats.image_sizes.recommended} would suit them better; so would tiles of the images"
            )
            yield Advice("small", text)


def _alike(names: list[str]) -> list[list[str]]:
    """Names that differ only in case, separators or a plural s."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        bare = "".join(letter for letter in name.casefold() if letter.isalnum())
        groups[bare.removesuffix("s") or name].append(name)
    return [group for group in groups.values() if len(group) > 1]


def _list(names: list[str], limit: int = 8) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
