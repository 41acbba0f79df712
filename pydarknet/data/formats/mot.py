# SPDX-License-Identifier: Apache-2.0
"""MOT Challenge: a folder per sequence with ``gt/gt.txt`` and the frames in ``img1``.

A line is ``frame,id,left,top,width,height,valid,class,visibility`` in pixels; frames and corners count
from 1. Boxes that are not valid are ignored. Format: https://motchallenge.net/instructions/
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from pydarknet.data.coords import convention
from pydarknet.data.dataset import SET_ASIDE, Flag, Sample, Status
from pydarknet.data.formats._common import number
from pydarknet.data.formats._tables import csv_rows
from pydarknet.data.issues import Report
from pydarknet.data.output import Output
from pydarknet.data.paths import images_below, split_of
from pydarknet.data.records import Box, LabelSource, ReadOptions, Record
from pydarknet.engine.darknet_files import read_names
from pydarknet.engine.image_header import image_size
from pydarknet.errors import DataError, RecordError

NAMES = (
    "pedestrian", "person on vehicle", "car", "bicycle", "motorbike", "non motorized vehicle",
    "static person", "distractor", "occluder", "occluder on the ground", "occluder full", "reflection",
    "crowd",
)  # fmt: skip
_FRAMES = ("img1", "images")
_Unit = tuple[str, str, str, str, list[tuple[int, list[str]]]]  # frame's image, name, split, file, rows


def sniff(path: Path) -> bool:
    """A ``gt/gt.txt``, the folder of its sequence, or one with such folders, also below train and test."""
    return bool(_sequences(path))


def _sequences(path: Path) -> list[Path]:
    if path.parts[-2:] == ("gt", "gt.txt"):
        return [path.parent.parent] if _is_truth(path) else []
    if not path.is_dir():
        return []
    if path.name == "gt" and _is_truth(path / "gt.txt"):
        return [path.parent]
    places = (path, *sorted(path.glob("*/")), *sorted(path.glob("*/*/")))
    return [place for place in places if _is_truth(place / "gt" / "gt.txt")]


def _is_truth(file: Path) -> bool:
    if file.is_file():
        with suppress(RecordError, OSError):
            row = next(csv_rows(file), (0, []))[1]
            return not row or (len(row) in (9, 10) and row[0].strip().isdigit())
    return False


def read(path: Path, options: ReadOptions, _report: Report) -> LabelSource:
    """A sequence, or a folder of sequences.

    Raises:
        DataError: if there is none.
    """
    sequences = _sequences(path)
    if not sequences:
        raise DataError(f"{path}: no folder with gt/gt.txt there")
    lists = [place / "gt" / "labels.txt" for place in sequences]
    named = [read_names(file, strict=True) for file in lists if file.is_file()]
    if any(names != named[0] for names in named):
        raise DataError(f"{path}: sequences with different gt/labels.txt; read them one by one")
    names = options.names or (named[0] if named else NAMES)
    shift = convention(options.coords).origin if options.coords else 1
    parse = functools.partial(_parse, names=names, shift=shift)
    return LabelSource(functools.partial(_units, sequences, options.images), parse, names)


def _units(sequences: list[Path], images: Path | None) -> Iterator[_Unit]:
    for place in sequences:
        folders = (*([images / place.name, images] if images else []), *(place / name for name in _FRAMES))
        folder = next((folder for folder in folders if folder.is_dir()), place / _FRAMES[0])
        file = place / "gt" / "gt.txt"
        rows: dict[int, list[tuple[int, list[str]]]] = {}
        for line, row in csv_rows(file):
            if not row[0].strip().isdigit():
                raise RecordError("parse", f"frame is {row[0]!r}, expected a number", file, line)
            rows.setdefault(int(row[0]), []).append((line, row))
        words = (place.parent.name, *re.split(r"[-_]", place.name))
        split = next((s for s in map(split_of, words) if s), "")
        for image in images_below(folder) if folder.is_dir() else ():
            digits = re.findall(r"\d+", image.stem)
            if digits:
                frame = int(digits[-1])
                yield str(image), f"{place.name}/{image.name}", split, str(file), rows.pop(frame, [])
        for frame, left in sorted(rows.items()):
            name = f"{frame:06d}"
            yield str(folder / f"{name}.jpg"), f"{place.name}/{name}.jpg", split, str(file), left


def _parse(unit: _Unit, report: Report, *, names: tuple[str, ...], shift: int) -> Iterable[Record]:
    image, name, split, file, rows = unit
    line = rows[0][0] if rows else 0
    try:
        width, height = image_size(image)
    except DataError as error:
        code = "unreadable-image" if Path(image).exists() else "missing-image"
        raise RecordError(code, str(error), file, line) from None
    boxes = []
    for line, row in rows:
        try:
            boxes.append(_box(row, names, shift, (file, line)))
        except RecordError as error:
            report.add(error.code, error.reason, error.file, error.line)
    status = Status.ANNOTATED if rows else Status.BACKGROUND
    return [Record(image, name, width, height, boxes, status.value, split, file)]


def _box(row: list[str], names: tuple[str, ...], shift: int, where: tuple[str, int]) -> Box:
    if len(row) < 9:
        raise RecordError("parse", f"{len(row)} columns, expected at least 9", *where)
    left, top, w, h, valid, class_id, visibility = (number(word, "a column", where) for word in row[2:9])
    if len(row) == 10 and class_id == -1:  # MOT15 has pedestrians only, and columns for 3D positions
        class_id, visibility = 1.0, -1.0
    if not class_id.is_integer() or not 1 <= class_id <= len(names):
        raise RecordError("class-range", f"class {class_id:g}; they go from 1 to {len(names)}", *where)
    flags = (Flag(0) if valid else Flag.IGNORE) | (Flag.OCCLUDED if 0 <= visibility < 1 else Flag(0))
    x, y = left - shift, top - shift
    return Box(names[int(class_id) - 1], x, y, x + w, y + h, int(flags), None, where[1])


def write(samples: Iterable[Sample], names: tuple[str, ...], out: Output) -> None:
    """A sequence per split: ``<split>/img1/000001.jpg`` …, ``gt/gt.txt`` and ``gt/labels.txt``.

    Frames are numbered in the order of the images. Boxes have no track id (-1).
    """
    shift = convention(out.coords).origin if out.coords else 1
    counts: dict[str, int] = {}

    def numbered() -> Iterator[Sample]:
        for sample in out.admitted(samples):
            split = sample.split or "train"
            counts[split] = counts.get(split, 0) + 1
            yield sample.replace(name=f"{counts[split]:06d}{sample.image.suffix}")

    with out.growing() as append:
        for sample, _, name in out.place_all(numbered(), lambda sample: f"{sample.split or 'train'}/img1"):
            file = f"{sample.split or 'train'}/gt/gt.txt"
            append(file, "")
            for class_id, flags, corners in zip(
                sample.classes.tolist(), sample.flags.tolist(), sample.boxes.tolist(), strict=True
            ):
                if class_id < 0 or (flags & SET_ASIDE and out.ignore == "drop"):
                    text = "MOT cannot ignore a region for every class"
                    out.report.add("lost-flag", text, sample.source or sample.image)
                    continue
                x1, y1, x2, y2 = corners
                valid = int(not flags & SET_ASIDE or out.ignore == "box")
                numbers = ",".join(f"{v:.6f}" for v in (x1 + shift, y1 + shift, x2 - x1, y2 - y1))
                seen = 0 if flags & Flag.OCCLUDED else 1
                append(file, f"{int(name)},-1,{numbers},{valid},{class_id + 1},{seen}\n")
        for split in counts:
            append(f"{split}/gt/labels.txt", "".join(f"{name}\n" for name in names))
