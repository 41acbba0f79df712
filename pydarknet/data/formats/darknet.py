# SPDX-License-Identifier: Apache-2.0
"""Darknet / YOLO: one ``class cx cy w h`` text per image, image lists, ``.names`` and ``.data``.

Numbers are fractions of the image, centre and size. Regions to ignore stand in ``<stem>.ignore.txt`` with
the same columns, class -1 meaning any; difficult boxes in the label files of a second list, ``difficult`` in
the ``.data`` file, which belongs to ``valid`` line by line. Format:
https://github.com/AlexeyAB/darknet#how-to-train-to-detect-your-custom-objects
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pydarknet.data.dataset import Flag, Sample, Status
from pydarknet.data.formats import _yolo_lines
from pydarknet.data.formats._common import choice
from pydarknet.data.formats._yolo_lines import KINDS, Lines, looks_like_label, read_boxes, survey
from pydarknet.data.issues import Report
from pydarknet.data.label_files import write_text
from pydarknet.data.output import Output
from pydarknet.data.paths import find_label, images_below, inner_name, label_candidates, natural_key, split_of
from pydarknet.data.records import LabelSource, ReadOptions, Record
from pydarknet.engine.darknet_files import Places, read_data, read_names
from pydarknet.engine.image_header import image_size, is_image
from pydarknet.errors import DataError, RecordError
from pydarknet.system.text import lines_of

SETTINGS = {
    "labels": "folder of the label files, tried before the usual places",
    "lines": _yolo_lines.SETTING,
    "relative": "write list paths relative to the output folder: yes or no (default)",
}

# list file, split, places of the files it names, list of the difficult labels
_List = tuple[Path, str, Places, Path | None]
_LIST_KEYS = {"train": "train", "valid": "val", "test": "test"}
_LIST_NAMES = {"val": "valid"}
_NAME_FILES = ("classes.txt", "_darknet.labels")


def sniff(path: Path) -> bool:
    """A ``.data`` file, an image list, or a folder with one of these or with image + txt pairs."""
    if path.is_file():
        if path.suffix == ".data":
            return True
        return path.suffix in (".txt", ".list") and _is_list(path)
    if any(path.glob("*.data")) or any(path.glob("data/*.data")):
        return True
    for image in itertools.islice(images_below(path), 50):
        label = find_label(image)
        if label and looks_like_label(label):
            return True
    return False


def _is_list(path: Path) -> bool:
    with suppress(RecordError):
        first = [line for line in lines_of(path) if line][:5]
        return bool(first) and all(is_image(line) for line in first)
    return False


def read(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    """A ``.data`` file, an image list, or a folder."""
    if path.is_dir():
        path = _data_file(path) or path
    lists: list[_List]
    if path.is_dir():
        names, lists = options.names or _folder_names(path), _folder_lists(path)
        folder = None if lists else path
    elif path.suffix == ".data":
        names, lists = _from_data(path, report)
        folder = None
    else:
        lists = [(path, split_of(path.stem), Places(path.parent), None)]
        names, folder = options.names or _folder_names(path.parent), None
    for file, _, places, _ in lists:
        _note_moved(places, file, report)
    names = options.names or names
    labels = options.settings.get("labels")
    units = functools.partial(_units, lists, folder)
    parse = functools.partial(
        parse_image, names=names, labels=labels, lines=line_kind(options, units, labels)
    )
    return LabelSource(units, parse, names, _numeric)


def _data_file(folder: Path) -> Path | None:
    """The ``.data`` file of a folder, also in ``data`` or ``cfg`` below it.

    Raises:
        DataError: if there are several.
    """
    for place in (folder, folder / "data", folder / "cfg"):
        files = sorted(place.glob("*.data"))
        if len(files) > 1:
            listed = ", ".join(file.name for file in files)
            raise DataError(f"{place}: several .data files ({listed}); name the one to read")
        if files:
            return files[0]
    return None


def _from_data(path: Path, report: Report) -> tuple[tuple[str, ...] | None, list[_List]]:
    data = read_data(path)
    # Darknet starts from the working directory: data/obj.names is then written in data/obj.data.
    folders = (path.parent, path.parent.parent)
    places = _places(data, folders, path, report)
    names = _listed_names(data, places, path) if "names" in data else None
    lists: list[_List] = []
    found: dict[str, Path] = {}
    for key in (*_LIST_KEYS, "difficult"):
        if key in data:
            value, line = data[key]
            found[key] = file = places.find(value)
            if not file.exists():
                text = f"{key} list {value} is not there (looked last at {file})"
                raise RecordError("parse", text, path, line)
    for key, split in _LIST_KEYS.items():
        if key not in found:
            continue
        file, line = found[key], data[key][1]
        if any(file == known for known, *_ in lists):
            report.add("note", f"{key} names the same list as another key", path, line, action="read once")
        else:
            difficult = found.get("difficult") if found.get("valid") == file else None
            lists.append((file, split, Places(file.parent, *folders, moved=places.moved), difficult))
    if not lists:
        raise RecordError("parse", "neither train nor valid is given", path)
    return names, lists


def _places(
    data: dict[str, tuple[str, int]], folders: tuple[Path, ...], path: Path, report: Report
) -> Places:
    """Places of the files of a set; a set that moved is noted."""
    places = Places(*folders)
    for key in ("names", *_LIST_KEYS, "difficult"):
        if key in data:
            places.learn(data[key][0])
    _report_moved(places, path, report)
    return places


def _note_moved(places: Places, file: Path, report: Report) -> None:
    """Note that a set moved if its ``.data`` file does not show it, but the first image of its list does."""
    if not places.moved:
        with suppress(RecordError):  # a broken list is reported where it is read
            places.learn(next(filter(None, lines_of(file)), ""))
            _report_moved(places, file, report)


def _report_moved(places: Places, path: Path, report: Report) -> None:
    for old, new in places.moved[:1]:
        report.add("note", f"{old} is not there; its files are taken from {new}", path, action="moved")


def _listed_names(data: dict[str, tuple[str, int]], places: Places, path: Path) -> tuple[str, ...]:
    value, line = data["names"]
    names_file = places.find(value)
    if not names_file.is_file():
        text = f"names file {value} is not there (looked last at {names_file})"
        raise RecordError("parse", text, path, line)
    names = read_names(names_file, strict=True)
    if "classes" in data and data["classes"][0] != str(len(names)):
        value, line = data["classes"]
        raise RecordError("parse", f"classes = {value}, but {names_file} has {len(names)} names", path, line)
    return names


def _folder_names(folder: Path) -> tuple[str, ...] | None:
    """Names in a folder, or in the folders of its splits."""
    for places in ([folder], sorted(entry for entry in folder.iterdir() if split_of(entry.name))):
        files = [file for place in places for file in sorted(place.glob("*.names"))]
        files += [place / name for place in places for name in _NAME_FILES if (place / name).is_file()]
        if files:
            names = read_names(files[0], strict=True)
            for other in files[1:]:
                if read_names(other, strict=True) != names:
                    raise DataError(f"{files[0]} and {other} have different names; choose one: names=FILE")
            return names
    return None


def _folder_lists(folder: Path) -> list[_List]:
    files = sorted(folder.glob("*.txt"), key=lambda file: natural_key(file.name))
    return [
        (file, split_of(file.stem), Places(folder), None)
        for file in files
        if split_of(file.stem) and _is_list(file)
    ]


def _numeric(labels: set[str]) -> tuple[str, ...]:
    """Without names a class is called by its number, and gaps stay gaps."""
    return tuple(str(i) for i in range(max(map(int, labels), default=-1) + 1))


class Listed(NamedTuple):
    """An image to read labels for: its name in the set, its split, where it was listed, and the line of the
    list of difficult labels that belongs to it."""

    image: str
    name: str
    split: str
    list_file: str = ""
    line: int = 0
    difficult: str = ""


def _units(lists: list[_List], folder: Path | None) -> Iterator[Listed]:
    for image in images_below(folder) if folder else ():
        relative = image.relative_to(folder or "")
        split = next((s for s in map(split_of, relative.parts[:-1]) if s), "")
        yield Listed(str(image), inner_name(relative), split)
    for file, split, places, difficult in lists:
        lines = [(number, line) for number, line in enumerate(lines_of(file), 1) if line]
        aside = [""] * len(lines) if difficult is None else [line for line in lines_of(difficult) if line]
        if len(aside) != len(lines):
            text = f"{len(aside)} images, but {file} has {len(lines)}; they belong together line by line"
            raise RecordError("parse", text, difficult or file)
        for (number, line), other in zip(lines, aside, strict=True):
            image = places.find(line)
            place = str(places.find(other)) if other else ""
            yield Listed(str(image), image.name, split, str(file), number, place)


def line_kind(
    options: ReadOptions,
    units: Callable[[], Iterable[Listed]],
    labels: str | None,
    declared: Lines = Lines(),  # noqa: B008 - immutable
) -> Lines:
    """Meaning of long lines: as set, else as declared, else as the set's first label files prove."""
    kind = choice(options, "lines", *KINDS)
    if kind != "auto":
        return Lines(kind)
    if declared.kind:
        return declared
    with suppress(RecordError):  # a broken list is reported where it is read
        found = (find_label(unit.image, labels) for unit in units())
        return survey(label for label in found if label is not None)
    return Lines()


def parse_image(
    unit: Listed, report: Report, *, names: tuple[str, ...] | None, labels: str | None, lines: Lines
) -> Iterable[Record]:
    """The record of one image, with its label file found beside it or in the usual places."""
    image, name, split, list_file, line, difficult = unit
    try:
        width, height = image_size(image)
    except DataError as error:
        code = "unreadable-image" if Path(image).exists() else "missing-image"
        raise RecordError(code, str(error), list_file or image, line) from None
    label = find_label(image, labels, report)
    record = Record(image, name, width, height, [], Status.UNLABELLED.value, split, str(label or image))
    if label is None:
        tried = ", ".join(str(path) for path in label_candidates(image, labels))
        report.add("missing-label", f"no label file; tried {tried}", image, action="unlabelled")
        return [record]
    record.boxes = read_boxes(label, width, height, names, report, lines)
    side = label.with_name(f"{label.stem}.ignore.txt")
    if side.is_file():
        for box in read_boxes(side, width, height, names, report, lines):
            box.flags |= Flag.IGNORE
            record.boxes.append(box)
    if difficult and (hard := find_label(difficult)):
        known = {(box.label, box.x1, box.y1, box.x2, box.y2) for box in record.boxes}
        for box in read_boxes(hard, width, height, names, report, lines):
            if (box.label, box.x1, box.y1, box.x2, box.y2) not in known:
                box.flags |= Flag.DIFFICULT
                record.boxes.append(box)
    # Lines that were no good are still knowledge that there is something.
    empty = not record.boxes and not any(lines_of(label))
    record.status = (Status.BACKGROUND if empty else Status.ANNOTATED).value
    return [record]


def label_text(sample: Sample) -> str:
    """The five-column text of a sample's boxes, six decimals."""
    if not len(sample):
        return ""
    width, height = sample.width, sample.height
    lines = []
    for class_id, (x1, y1, x2, y2) in zip(sample.classes.tolist(), sample.boxes.tolist(), strict=True):
        cx, cy = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height
        lines.append(f"{class_id} {cx:.6f} {cy:.6f} {(x2 - x1) / width:.6f} {(y2 - y1) / height:.6f}\n")
    return "".join(lines)


def write(samples: Iterable[Sample], names: tuple[str, ...], out: Output) -> None:
    """Images, labels, one list per split, ``obj.names`` and ``obj.data``.

    With ``layout="same"`` (the default) labels stand beside the images, where every Darknet looks;
    with ``"images-labels"`` in a parallel tree, where YOLOv5 looks.
    """
    layout = out.layout or "same"
    relative = out.settings.get("relative", "no") == "yes" and out.link != "none"
    lists: dict[str, str] = {}
    with out.growing() as append:
        beside_source = layout == "same" and out.link == "none"
        placed = out.place_all(samples, functools.partial(image_folder, layout), by_name=not beside_source)
        for sample, image, name in placed:
            split = sample.split or "train"
            label = image.with_suffix(".txt") if layout == "same" else out.root / f"labels/{split}/{name}.txt"
            write_label(sample, label, out)
            lists[split] = f"{_LIST_NAMES.get(split, split)}.txt"
            entry = image.relative_to(out.root) if relative else image.absolute()
            append(lists[split], f"{entry}\n")
            if out.ignore == "difficult" and split in ("val", "test"):
                append(f"difficult_{lists[split]}", f"{entry.with_name(f'difficult_{image.name}')}\n")
        append("obj.names", "".join(f"{name}\n" for name in names))
        append("obj.data", data_text(names, out, lists, relative))


def image_folder(layout: str, sample: Sample) -> str:
    """Where a sample's image goes, relative to the output folder."""
    split = sample.split or "train"
    return split if layout == "same" else f"images/{split}"


def write_label(sample: Sample, label: Path, out: Output) -> None:
    """The label file of one image, and its side files by the ``ignore`` policy.

    Raises:
        DataError: if images stay where they are and another label file is already there.
    """
    boxes, aside = out.side_boxes(sample)
    texts = {label: label_text(boxes)}
    if len(aside):
        texts[label.with_name(f"{label.stem}.ignore.txt")] = label_text(aside)
    if out.ignore == "difficult":
        texts[label.with_name(f"difficult_{label.name}")] = label_text(aside.select(aside.classes >= 0))
    for path, text in texts.items():
        if out.link == "none" and path.is_file() and path.read_text() != text:
            raise DataError(
                f"{path} exists with other content; move it away, or write with links into a folder"
            )
        write_text(path, text)


def data_text(names: tuple[str, ...], out: Output, lists: dict[str, str], relative: bool) -> str:
    """The ``.data`` file for these lists (split → file name); paths are absolute unless ``relative``."""
    base = "" if relative else f"{out.root.absolute()}/"
    rows = {"classes": str(len(names))}
    for key, split in _LIST_KEYS.items():
        if split in lists:
            rows[key] = base + lists[split]
    if out.ignore == "difficult" and "valid" in rows:
        rows["difficult"] = f"{base}difficult_{lists['val']}"
    rows["names"] = f"{base}obj.names"
    rows["backup"] = f"{base}backup"
    (out.root / "backup").mkdir(
        parents=True, exist_ok=True
    )  # Darknet trains for hours and then fails without it
    return "".join(f"{key} = {value}\n" for key, value in rows.items())
