# SPDX-License-Identifier: Apache-2.0
"""Rules about classes, names, lists and images of a data set."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pydarknet.check.catalogue import ERROR, NOTE, WARNING, Found, rule
from pydarknet.check.data_facts import DataFacts, Split
from pydarknet.check.inputs import Inputs
from pydarknet.data.issues import Issue

ENOUGH_IMAGES, ENOUGH_BOXES = 1500, 10_000  # per class, YOLOv5's advice for good training results
FEW = 0.01  # share of the largest class below which a class is under-represented
_DIRECTION = re.compile(
    r"(?<![^\W_])(left|right|links|rechts|gauche|droite|izquierda|derecha)(?![^\W_])", re.IGNORECASE
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def _data(inputs: Inputs) -> DataFacts:
    assert inputs.data is not None
    return inputs.data


def _first(issues: list[Issue]) -> tuple[str, int]:
    return (issues[0].file, issues[0].line) if issues else ("", 0)


def reported(split: Split, code: str) -> tuple[int, str, tuple[str, int]]:
    """How often the reader reported a code, its first message, and the first place."""
    examples = split.report.examples.get(code, [])
    return split.report.counts[code], examples[0].message if examples else "", _first(examples)


def splits(data: DataFacts) -> Iterator[Split]:
    """Splits with reports of their own: formats that are read as a whole share one."""
    seen: set[int] = set()
    for split in data.splits:
        if id(split.report) not in seen:
            seen.add(id(split.report))
            yield split


@rule("L-05", ERROR, "class counts differ", "Make all of them equal.", "data")
def class_counts_agree(inputs: Inputs) -> Iterator[Found]:
    """Heads, ``classes`` of the ``.data`` file, lines of the names file and ids in the labels must agree;
    Darknet compares none of them."""
    data = _data(inputs)
    heads = sorted({head.integer("classes") for head in inputs.cfg.heads})
    declared, line = data.options.get("classes", ("", 0))
    names = len(data.names) if data.names is not None else None
    highest = max((max(split.boxes_per_class, default=-1) for split in data.splits), default=-1)
    counts: set[int | str] = {*heads, *([names] if names is not None else [])}
    if declared:
        counts.add(int(declared) if declared.isdigit() else declared)
    fewest = min((count for count in counts if isinstance(count, int)), default=highest + 1)
    if len(counts) > 1 or highest >= fewest:
        text = (
            f"heads of the cfg: {_listed(heads)}; classes in the .data file: {declared or 'not given'}; "
            f"names: {'none' if names is None else names}; highest id in the labels: "
            f"{highest if highest >= 0 else 'none'}"
        )
        yield Found(text, data.path, line, declared, _listed(heads))


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"


@rule("L-29", ERROR, "names file has errors", "One name on each line, no blank lines, no duplicates.", "data")
def names_in_order(inputs: Inputs) -> Iterator[Found]:
    """The line number is the class id, so a blank line in between is a class without a name.  Lists and
    unreadable names are reported here too."""
    data = _data(inputs)
    for file, line, message in data.problems:
        yield Found(message, file, line, hint="Correct the path or the file.")
    names = data.names if data.names is not None else ()
    if data.names_file and not any(names) and not data.problems and data.path.endswith(".data"):
        yield Found("the names file is empty", data.names_file)
        return
    first: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        if not name:
            yield Found(f"line {number} is blank; it counts as class {number - 1}", data.names_file, number)
        elif name in first:
            text = f"class {name!r} is a duplicate, in lines {first[name]} and {number}"
            yield Found(text, data.names_file, number, name)
        first.setdefault(name, number)


@rule("L-28", WARNING, "list depends on the working directory", "Write absolute paths into the list.", "data")
def paths_resolve_alike(inputs: Inputs) -> Iterator[Found]:
    """A relative path that is found from the working directory, but not from the folder of the list."""
    for split in _data(inputs).splits:
        folder = Path(split.file).parent
        odd = []
        for number, entry in split.entries:
            here = Path(entry).absolute()
            there = [base / entry for base in (folder.parent, folder) if (base / entry).exists()]
            if here.exists() and not any(here.samefile(place) for place in there[:1]):
                odd.append((number, entry))
        if odd:
            text = (
                f"{len(odd)} paths are found only from the working directory {Path.cwd()}, e.g. {odd[0][1]}"
            )
            yield Found(text, split.file, odd[0][0], odd[0][1])


@rule("L-30", ERROR, "train and validation images overlap", "Split again: pydarknet data split.", "data")
def splits_disjoint(inputs: Inputs) -> Iterator[Found]:
    """Results on training images do not measure generalisation."""
    data = _data(inputs)
    if data.val is None:
        return
    both = [path for real, path in data.val.real_paths.items() if real in data.train.real_paths]
    if both:
        text = f"{len(both)} of {data.val.images} validation images are also training images, e.g. {both[0]}"
        yield Found(text, data.val.file, value=str(len(both)), expected="0")


@rule("L-31", WARNING, "nearly equal images in train and validation", "Keep them in one split.", "data")
def splits_different(inputs: Inputs) -> Iterator[Found]:
    """Copies inflate the result as identical files do.  Files of equal content are always found, look-alikes
    with ``--deep``."""
    data = _data(inputs)
    if data.val is None:
        return
    from pydarknet.data.similar import repeated  # needs OpenCV

    pairs = repeated(data.train.paths, data.val.paths, near=data.deep)
    if pairs:
        first, second = pairs[0]
        text = f"{len(pairs)} validation images look like training images, e.g. {second} and {first}"
        yield Found(text, data.val.file, value=str(len(pairs)), expected="0")


@rule("L-26", ERROR, "images cannot be used", "Repair them, or remove them from the list.", "data")
def images_readable(inputs: Inputs) -> Iterator[Found]:
    """Missing, empty, damaged or too large files, found in the headers or, with ``--deep``, in the pixels.
    Images with an EXIF rotation are a warning: not every program applies it, and labels may fit either."""
    data = _data(inputs)
    for split in splits(data):
        for code, what in (("missing-image", "not there"), ("unreadable-image", "unreadable")):
            count, message, (file, line) = reported(split, code)
            if count:
                yield Found(f"{count} images are {what}: {message}", file, line, str(count), "0")
    for split in data.splits:
        if split.turned:
            text = f"{len(split.turned)} images are rotated by EXIF, e.g. {split.turned[0]}"
            hint = (
                "Rotate the pixels and remove the tag, or make sure that the labels are for rotated images."
            )
            yield Found(text, split.file, value=str(len(split.turned)), severity=WARNING, hint=hint)


@rule("L-27", WARNING, "few examples of a class", "Collect more, or merge or drop classes.", "data")
def classes_represented(inputs: Inputs) -> Iterator[Found]:
    """No box at all, or less than a hundredth of the largest class.  Less than 1500 images or 10 000 boxes
    for a class is a note, and only if the training sees its images often enough to profit from more."""
    data = _data(inputs)
    boxes = data.train.boxes_per_class
    count = inputs.classes or len(data.names or ())
    if not boxes or not count:
        return
    largest = max(boxes.values())
    absent = [i for i in range(count) if not boxes[i]]
    rare = [i for i in range(count) if 0 < boxes[i] < FEW * largest]
    for ids, what in ((absent, "have no box"), (rare, f"have less than 1 % of the {largest} of the largest")):
        if ids:
            shown = ", ".join(f"{_name(data, i)} ({boxes[i]})" for i in ids[:5])
            more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
            yield Found(f"{len(ids)} of {count} classes {what}: {shown}{more}", data.train.file)
    few = [
        i
        for i in range(count)
        if boxes[i] and (data.train.images_per_class[i] < ENOUGH_IMAGES or boxes[i] < ENOUGH_BOXES)
    ]
    if few and not 0 < inputs.epochs < 10:
        worst = min(few, key=lambda i: boxes[i])
        text = (
            f"{len(few)} of {count} classes have less than {ENOUGH_IMAGES} images or {ENOUGH_BOXES} boxes; "
            f"{_name(data, worst)}: {data.train.images_per_class[worst]} images, {boxes[worst]} boxes"
        )
        yield Found(text, data.train.file, severity=NOTE)


def _name(data: DataFacts, class_id: int) -> str:
    names = data.names or ()
    return names[class_id] if class_id < len(names) else str(class_id)


@rule("L-32", WARNING, "mirroring with directional classes", "Set flip=0 in [net].", "data")
def flip_keeps_classes(inputs: Inputs) -> Iterator[Found]:
    """Half of the images are mirrored, and left becomes right."""
    names = [name for name in _data(inputs).names or () if _DIRECTION.search(_CAMEL.sub("_", name))]
    if names and inputs.net.integer("flip"):
        problem = inputs.net.problem("flip", "")
        text = f"flip is on, but classes name a direction: {', '.join(names[:5])}"
        yield Found(text, inputs.cfg.path, problem.line, inputs.net.get("flip") or "1 (default)", "0")
