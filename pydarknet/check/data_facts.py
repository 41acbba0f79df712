# SPDX-License-Identifier: Apache-2.0
"""Facts about a data set that the rules need, collected in one pass: counts, places, sizes.

Lists and labels are read by :mod:`pydarknet.data`; issues of its report become facts here.  The rules judge
them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pydarknet.data.dataset import Status
from pydarknet.data.formats._yolo_lines import read_boxes, survey
from pydarknet.data.io import open_source
from pydarknet.data.issues import Issue, Report
from pydarknet.data.paths import find_label, label_candidates
from pydarknet.data.records import LabelSource, ReadOptions, Record, Rules, clean, cleaned
from pydarknet.engine.darknet_files import read_data, resolve
from pydarknet.engine.image_header import exif_orientation, image_size
from pydarknet.errors import DataError, RecordError
from pydarknet.system.notify import Progress, counted, no_progress
from pydarknet.system.text import lines_of

PIXEL_LIMIT = 2**30  # OpenCV refuses to decode more

_LABEL_FOLDERS = ("labels", "Labels", "label", "labels_txt", "txt", "annotations", "Annotations")


@dataclass
class Folder:
    """Facts about the images of one folder, to recognise a folder with the images of one class.

    Attributes:
        classes: class ids that occur.
        labelled: images with boxes.
        empty: images without boxes or without a label file.
        example: one image without boxes.
    """

    classes: set[int] = field(default_factory=set)
    labelled: int = 0
    empty: int = 0
    example: str = ""


@dataclass
class Split:
    """Facts about one list of images.

    Attributes:
        file: the list, or the folder.
        images: images listed.
        labelled: images with a label file, be it empty.
        paths: the image files that are there.
        entries: (line number, text) of list entries that are relative paths.
        counts: boxes on each image that is there, in the order of ``paths``.
        boxes_per_class: boxes by class id.
        images_per_class: images on which a class occurs.
        places: first place (file, line) of each class id.
        sizes: (w, h, image width, image height) of every box, in pixels of its image.
        sources: (label file, line) of every box, in the order of ``sizes``.
        folders: by folder of the images.
        misplaced: (image, label found elsewhere) of some images without a label.
        unlabelled: some images without a label, and the paths that were tried.
        turned: images that carry an EXIF rotation.
        report: issues of the reader.
    """

    file: str = ""
    images: int = 0
    labelled: int = 0
    paths: list[Path] = field(default_factory=list)
    entries: list[tuple[int, str]] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    boxes_per_class: Counter[int] = field(default_factory=Counter)
    images_per_class: Counter[int] = field(default_factory=Counter)
    places: dict[int, tuple[str, int]] = field(default_factory=dict)
    sizes: list[tuple[float, float, int, int]] = field(default_factory=list)
    sources: list[tuple[str, int]] = field(default_factory=list)
    folders: dict[Path, Folder] = field(default_factory=dict)
    misplaced: list[tuple[Path, Path]] = field(default_factory=list)
    unlabelled: list[tuple[Path, list[Path]]] = field(default_factory=list)
    turned: list[Path] = field(default_factory=list)
    report: Report = field(default_factory=lambda: Report(sink=_forget))

    @cached_property
    def real_paths(self) -> dict[Path, Path]:
        """Resolved path of every image → the path as listed."""
        return {path.resolve(): path for path in self.paths}

    def network_sizes(self, width: int, height: int, letter_box: bool) -> NDArray[np.float64]:
        """(n, 2) widths and heights of all boxes in pixels of a network input."""
        table = np.array(self.sizes, float).reshape(-1, 4)
        scale = np.array([width, height]) / table[:, 2:]
        return np.asarray(table[:, :2] * (scale.min(1, keepdims=True) if letter_box else scale))


def _forget(_issue: Issue) -> None:
    """Reports keep counts and examples; a million issues need no memory."""


@dataclass
class DataFacts:
    """Facts about a data set.

    Attributes:
        path: the ``.data`` file, list or folder.
        options: (value, line) of each key of the ``.data`` file.
        problems: (file, line, message) of errors in the ``.data`` and names files.
        names: class names, or None if there are none.
        names_file: where they stand.
        train: the images to train on.
        val: the images to validate on, or None.
        deep: every image was decoded, not only its header.
    """

    path: str = ""
    options: dict[str, tuple[str, int]] = field(default_factory=dict)
    problems: list[tuple[str, int, str]] = field(default_factory=list)
    names: tuple[str, ...] | None = None
    names_file: str = ""
    train: Split = field(default_factory=Split)
    val: Split | None = None
    deep: bool = False

    @property
    def splits(self) -> list[Split]:
        """Train, and val if there is one."""
        return [self.train, *([self.val] if self.val else [])]


def inspect_data(path: Path, *, deep: bool = False, progress: Progress = no_progress) -> DataFacts:
    """Read a data set and collect the facts that the rules need.

    Args:
        path: a ``.data`` file, an image list, or anything else that :func:`pydarknet.data.read` takes.
        deep: decode every image instead of reading its header only.
        progress: called with (name of the list or folder, images done, None).

    Raises:
        DataError: the path does not exist or its format is unknown.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if path.is_dir() and len(found := sorted(path.glob("*.data"))) == 1:
        path = found[0]
    facts = DataFacts(str(path), deep=deep)
    if path.suffix == ".data":
        _read_data_file(facts, path, progress)
    elif path.is_file() and path.suffix in (".txt", ".list"):
        facts.train = _look_at(_list_records, path, deep, progress)
    else:
        _read_any(facts, path, progress)
    return facts


def _read_data_file(facts: DataFacts, path: Path, progress: Progress) -> None:
    try:
        facts.options = read_data(path)
    except RecordError as error:
        facts.problems.append((error.file, error.line, error.reason))
        return
    if "names" in facts.options:
        value, line = facts.options["names"]
        file = resolve(value, path.parent)
        facts.names_file = str(file)
        try:
            facts.names = tuple(lines_of(file))
        except RecordError as error:
            facts.problems.append((str(path), line, f"names file {value}: {error.reason}"))
    for key in ("train", "valid"):
        if key not in facts.options:
            continue
        value, line = facts.options[key]
        file = resolve(value, path.parent)
        if not file.is_file():
            facts.problems.append((str(path), line, f"{key} list {value} does not exist (tried {file})"))
            continue
        try:
            split = _look_at(_list_records, file, facts.deep, progress)
        except RecordError as error:
            facts.problems.append((error.file, error.line, error.reason))
            continue
        if key == "train":
            facts.train = split
        else:
            facts.val = split


Reader = Callable[[Path, Split], Iterator[Record]]


def _look_at(reader: Reader, path: Path, deep: bool, progress: Progress) -> Split:
    split = Split(str(path))
    for record in counted(reader(path, split), progress, path.name):
        _note(split, record, lambda label: int(label or -1), deep)
    return split


def _list_records(path: Path, split: Split) -> Iterator[Record]:
    """Records of a Darknet list; unlike a reader it continues after every error, and keeps class ids."""
    images = (resolve(line, path.parent.parent, path.parent) for line in lines_of(path) if line)
    lines = survey(label for label in map(find_label, images) if label is not None)
    for number, line in enumerate(lines_of(path), 1):
        if not line:
            continue
        if not Path(line).is_absolute():
            split.entries.append((number, line))
        split.images += 1
        image = resolve(line, path.parent.parent, path.parent)
        label = find_label(image, None, split.report)
        if label is None:
            _note_missing(split, image)
        split.labelled += label is not None
        try:
            width, height = image_size(image)
        except DataError as error:
            code = "unreadable-image" if image.exists() else "missing-image"
            split.report.add(code, str(error), path, number)
            continue
        status = Status.UNLABELLED if label is None else Status.ANNOTATED
        record = Record(str(image), image.name, width, height, [], status.value, "", str(label or image))
        if label is not None:
            try:
                record.boxes = read_boxes(label, width, height, None, split.report, lines)
            except RecordError as error:
                split.report.add(error.code, error.reason, error.file, error.line)
        yield clean(record, Rules(), split.report)


def _read_any(facts: DataFacts, path: Path, progress: Progress) -> None:
    """A data set in any other format, through its reader."""
    report = Report(sink=_forget)
    source, same = _open(path, report)
    facts.names, facts.names_file = source.names, str(path)
    facts.train.file = str(path)
    facts.train.report = report
    index = {name: i for i, name in enumerate(source.names or ())}

    def class_id(label: str) -> int:
        """By the names of the set, by number where classes have no names, else in order of appearance."""
        if source.names is None and label.isdigit():
            return int(label)
        return index.setdefault(label, len(index))

    for record in cleaned(source, counted(source.units(), progress, path.name), Rules(), report):
        split = facts.train
        if record.split in ("val", "test"):
            if record.split == "test":
                continue
            facts.val = split = facts.val or Split(str(path), report=report)
        split.images += 1
        if record.status == Status.UNLABELLED.value:
            _note_missing(split, Path(record.image))
        else:
            split.labelled += 1
        _note(split, record, class_id, facts.deep)
    if source.names is None and index:
        facts.names = tuple(index)
    if same:
        facts.val = facts.train


def _open(path: Path, report: Report) -> tuple[LabelSource, bool]:
    """The stream of a set, and whether train and val are the same images.

    By default readers refuse such a set; here it must be read, because a rule reports it.
    """
    try:
        return open_source(path, "auto", ReadOptions(), report), False
    except RecordError as error:
        if "allow_same" not in error.reason:
            raise
        return open_source(path, "auto", ReadOptions(settings={"allow_same": "yes"}), report), True


def _note_missing(split: Split, image: Path) -> None:
    if len(split.unlabelled) < 50:
        split.unlabelled.append((image, label_candidates(image)))
        elsewhere = label_elsewhere(image)
        if elsewhere is not None:
            split.misplaced.append((image, elsewhere))


def label_elsewhere(image: Path) -> Path | None:
    """A label of this image in a folder that no loader looks into: near by, under a usual name."""
    reached = set(label_candidates(image))
    for up in range(1, min(4, len(image.parents))):
        ancestor = image.parents[up - 1]
        below = image.relative_to(ancestor).with_suffix(".txt").parts
        for name in _LABEL_FOLDERS:
            for start in range(len(below)):
                candidate = ancestor.joinpath(name, *below[start:])
                if candidate not in reached and candidate.is_file():
                    return candidate
    return None


def _note(split: Split, record: Record, class_id: Callable[[str], int], deep: bool) -> None:
    """Add the facts of one image."""
    image = Path(record.image)
    if record.width * record.height > PIXEL_LIMIT:
        text = f"{record.width}x{record.height} is more than OpenCV decodes"
        split.report.add("unreadable-image", text, image)
    elif deep and not _decodes(image):
        split.report.add("unreadable-image", "the header is fine but the pixels cannot be decoded", image)
    if exif_orientation(image) > 1:
        split.turned.append(image)
    split.paths.append(image)
    split.counts.append(len(record.boxes))
    folder = split.folders.setdefault(image.parent, Folder())
    ids = [class_id(box.label) for box in record.boxes]
    if ids:
        folder.labelled += 1
        folder.classes.update(ids)
    else:
        folder.empty += 1
        folder.example = folder.example or str(image)
    split.images_per_class.update(set(ids))
    for number, box in zip(ids, record.boxes, strict=True):
        place = record.source, box.line
        split.boxes_per_class[number] += 1
        split.places.setdefault(number, place)
        split.sizes.append((box.x2 - box.x1, box.y2 - box.y1, record.width, record.height))
        split.sources.append(place)


def _decodes(image: Path) -> bool:
    from pydarknet.engine.images import glance

    return glance(image) is not None
