# SPDX-License-Identifier: Apache-2.0
"""Rules about label files and the boxes in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pydarknet.cfg.anchors import judge, of_cfg
from pydarknet.check.catalogue import ERROR, WARNING, Found, at, rule
from pydarknet.check.data_facts import DataFacts, Folder
from pydarknet.check.inputs import Inputs
from pydarknet.check.rules_data import reported, splits

_ODD_BOXES = {
    "nan": "with values that are not finite",
    "outside": "outside of the image",
    "degenerate": "without area",
    "swapped": "of negative size",
    "clipped": "reaching out of the image",
    "duplicate": "duplicated",
}
MOST_BOXES = 200  # Darknet's default of `max`
SMALL = 5.0  # pixels at network size


def _data(inputs: Inputs) -> DataFacts:
    assert inputs.data is not None
    return inputs.data


@rule("L-13", WARNING, "anchors do not fit", "Calculate new ones: pydarknet anchors --cfg … --data …")
def anchors_suit(inputs: Inputs) -> Iterator[Found]:
    """An anchor larger than the input in both directions is useless.  With data: the mean IoU of boxes and
    their best anchor should be at least 0.5, and 98 % of the boxes should be within reach (a factor of 4)."""
    heads = [head for head in inputs.cfg.heads if head.type != "detection"]
    if not heads:
        return
    width, height = inputs.net.integer("width"), inputs.net.integer("height")
    anchors = of_cfg(inputs.cfg)
    large = [anchor for anchor in anchors if anchor[0] > width and anchor[1] > height]
    if large:
        shown = ", ".join(f"{w:g}×{h:g}" for w, h in large)
        text = f"anchors larger than the input of {width}×{height}: {shown}"
        yield at(heads[0], "anchors", text, f"at most {width}×{height}")
    if inputs.data is None or not inputs.data.train.sizes or min(width, height) < 1:
        return
    boxes = inputs.data.train.network_sizes(width, height, bool(inputs.net.integer("letter_box")))
    judgement = judge(boxes, anchors)
    if judgement.mean_iou < 0.5 or judgement.recall < 0.98:
        text = (
            f"mean best IoU of boxes and anchors is {judgement.mean_iou:.2f}, "
            f"best possible recall {judgement.recall:.3f}"
        )
        yield at(heads[0], "anchors", text, "IoU at least 0.5, recall at least 0.98")


@rule(
    "L-20",
    ERROR,
    "images without labels",
    "Put each label beside its image; an empty file means no objects.",
    "data",
)
def labels_present(inputs: Inputs) -> Iterator[Found]:
    """Darknet treats an image without a label file as one without objects.  An error below 90 % coverage."""
    for split in _data(inputs).splits:
        missing = split.images - split.labelled
        if missing <= 0:
            continue
        share = split.labelled / split.images
        example = ""
        if split.unlabelled:
            image, tried = split.unlabelled[0]
            example = f"; for {image} tried {', '.join(map(str, tried))}"
        text = f"{missing} of {split.images} images have no label file ({share:.1%} have one){example}"
        severity = ERROR if share < 0.9 else WARNING
        yield Found(text, split.file, 0, f"{share:.1%}", "100 %", severity)


@rule("L-21", ERROR, "labels are in a folder that is not searched", "Move them beside the images.", "data")
def labels_within_reach(inputs: Inputs) -> Iterator[Found]:
    """Labels exist, but not where they are searched: beside the image, or with
    ``images`` or ``JPEGImages`` replaced by ``labels``."""
    for split in _data(inputs).splits:
        if split.misplaced:
            image, label = split.misplaced[0]
            text = f"{label} seems to be the label of {image}, but loaders do not search there"
            yield Found(text, split.file, value=str(label), expected=str(image.with_suffix(".txt")))


@rule(
    "L-22",
    WARNING,
    "unlabelled images of trained classes",
    "Label them, or leave them out: pydarknet convert (--unlabelled exclude).",
    "data",
)
def negatives_are_negative(inputs: Inputs) -> Iterator[Found]:
    """Images without boxes that lie in the folder of one class probably show that class; used as negatives
    they train the network to miss it."""
    data = _data(inputs)
    folders = data.train.folders
    owners = [classes for folder in folders.values() if len(classes := folder.classes) == 1]
    sorted_by_class = len({next(iter(classes)) for classes in owners}) > 1
    names = {_plain(name) for name in data.names or ()}
    suspects = {
        path: folder
        for path, folder in folders.items()
        if folder.empty and (_plain(path.name) in names or (sorted_by_class and len(folder.classes) == 1))
    }
    if suspects:
        count = sum(folder.empty for folder in suspects.values())
        path, folder = max(suspects.items(), key=_emptiness)
        text = (
            f"{count} images without boxes lie in folders of a trained class; "
            f"{folder.empty} in {path}, e.g. {Path(folder.example).name}"
        )
        yield Found(text, data.train.file, value=str(count), expected="0")


def _emptiness(item: tuple[Path, Folder]) -> int:
    return item[1].empty


def _plain(name: str) -> str:
    return name.lower().replace("_", " ").replace("-", " ").strip()


@rule("L-23", ERROR, "impossible class ids", "Number the classes from 0; pydarknet data remap helps.", "data")
def class_ids_possible(inputs: Inputs) -> Iterator[Found]:
    """Ids must be whole numbers from 0 to classes − 1; Darknet drops all other boxes.  Lines that are not
    ``class x y w h`` are reported here too, because Darknet stops reading a label at the first of them."""
    data = _data(inputs)
    classes = inputs.classes
    for split in splits(data):
        for code in ("parse", "encoding", "class-range", "unknown-class"):
            count, message, (file, line) = reported(split, code)
            if count:
                yield Found(f"{count} labels cannot be used: {message}", file, line, str(count), "0")
    for split in data.splits:
        beyond = {i: n for i, n in split.boxes_per_class.items() if classes is not None and i >= classes}
        if beyond:
            file, line = split.places[min(beyond)]
            off = (
                " (do the ids start at 1?)"
                if set(beyond) == {classes} and not split.boxes_per_class[0]
                else ""
            )
            text = f"{sum(beyond.values())} boxes have ids from {classes} up: {sorted(beyond)[:5]}{off}"
            yield Found(text, file, line, str(max(beyond)), f"0 … {(classes or 1) - 1}")


@rule(
    "L-24",
    WARNING,
    "odd boxes",
    "Correct the labels at their source; convert clips boxes, which is right only if few exceed by little.",
    "data",
)
def boxes_in_order(inputs: Inputs) -> Iterator[Found]:
    """Boxes that are empty, reversed, not finite, outside or partly outside of the image, duplicated; and
    images with more boxes than the heads take (``max``, 200 by default)."""
    data = _data(inputs)
    for split in splits(data):
        for code, what in _ODD_BOXES.items():
            count, message, (file, line) = reported(split, code)
            if count:
                yield Found(f"{count} boxes {what}: {message}", file, line, str(count), "0")
    most = min((head.integer("max", MOST_BOXES) for head in inputs.cfg.heads), default=MOST_BOXES)
    for split in data.splits:
        crowded = [(n, path) for n, path in zip(split.counts, split.paths, strict=False) if n > most]
        if crowded:
            count, path = max(crowded)
            text = (
                f"{len(crowded)} images have more than {most} boxes; the rest are ignored ({count} on {path})"
            )
            yield Found(
                text, str(path), value=str(count), expected=f"at most {most}", hint="Raise max= in [yolo]."
            )


@rule("L-25", WARNING, "tiny boxes", "Use a larger input, tiles, or leave them out.", "data")
def boxes_visible(inputs: Inputs) -> Iterator[Found]:
    """Darknet drops boxes below one pixel at network size; below five they are hard to detect."""
    width, height = inputs.net.integer("width"), inputs.net.integer("height")
    if min(width, height) < 1:
        return
    for split in _data(inputs).splits:
        if not split.sizes:
            continue
        sides = split.network_sizes(width, height, bool(inputs.net.integer("letter_box"))).min(1)
        tiny = int((sides < SMALL).sum())
        if tiny:
            dropped = int((sides < 1).sum())
            file, line = split.sources[int(np.argmin(sides))]
            text = (
                f"{tiny} of {len(sides)} boxes are smaller than {SMALL:g} pixels at {width}×{height}, "
                f"{dropped} of them smaller than 1 and dropped by Darknet"
            )
            yield Found(text, file, line, f"{sides.min():.2g} pixels", f"at least {SMALL:g}")
