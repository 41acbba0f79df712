# SPDX-License-Identifier: Apache-2.0
"""One CSV row per box, as in the TensorFlow object detection tutorials; columns by name, in any order.

A box is given by corners, by a corner and size, by a centre and size, or by one column ``bbox``. Numbers are
pixels on edges, or fractions if none of a file's is above 1 and not all are whole. An empty class and box
means background. Files of Make Sense, with or without header, are of this kind.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pydarknet.data.coords import Convention, convention, to_edges
from pydarknet.data.dataset import ANY_CLASS, Flag, Sample, Status, flag_names, flags_from
from pydarknet.data.formats._common import ImageFinder, choice, number, size_of, split_images
from pydarknet.data.formats._sniff import files_of
from pydarknet.data.formats._tables import column_index, csv_line, csv_rows, grouped, plain_name
from pydarknet.data.formats.openimages import is_open_images
from pydarknet.data.issues import Report
from pydarknet.data.output import Output
from pydarknet.data.paths import split_of
from pydarknet.data.records import Box, LabelSource, ReadOptions, Record
from pydarknet.engine.image_header import is_image
from pydarknet.errors import DataError, RecordError

SETTINGS = {
    "columns": "names of the columns if the file has no header: filename,xmin,ymin,xmax,ymax,class or "
    "filename,x,y,width,height,class",
    "normalised": "numbers are fractions: auto (default), yes or no",
    "bbox": "order in a single column bbox: xywh or xyxy; auto (default) refuses what could be both",
    "single_class": "class of all boxes if no column has it",
}

_COLUMNS = {
    "filename": ["filename", "image", "imagepath", "imgfile", "file", "path", "imagename", "imageid"],
    "class?": ["class", "label", "name", "category", "celltype", "classname", "labelname"],
    "split?": ["split", "set", "subset"],
    "flags?": ["flags"],
    "score?": ["score", "confidence"],
}
_IMAGE_SIZE = {"width?": ["imagewidth", "imgwidth"], "height?": ["imageheight", "imgheight"]}
#: How a box can be given, and the columns of its numbers.
_GEOMETRIES = {
    "corners": {
        "x1": ["xmin", "x1", "left"],
        "y1": ["ymin", "y1", "top"],
        "x2": ["xmax", "x2", "right"],
        "y2": ["ymax", "y2", "bottom"],
    },
    "centre": {
        "x1": ["xcenter", "xcentre", "centerx", "centrex", "cx"],
        "y1": ["ycenter", "ycentre", "centery", "centrey", "cy"],
        "x2": ["w", "boxwidth", "bboxwidth", "bboxw", "width"],
        "y2": ["h", "boxheight", "bboxheight", "bboxh", "height"],
    },
    "size": {
        "x1": ["x", "bboxx", "boxx", "xmin", "x1", "left"],
        "y1": ["y", "bboxy", "boxy", "ymin", "y1", "top"],
        "x2": ["w", "boxwidth", "bboxwidth", "bboxw", "width"],
        "y2": ["h", "boxheight", "bboxheight", "bboxh", "height"],
    },
    "bbox": {"x1": ["bbox", "box", "boundingbox"]},
}
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_MAKE_SENSE = "labelname,bboxx,bboxy,bboxwidth,bboxheight,imagename,imagewidth,imageheight"
_HEADER = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax", "split", "flags", "score")
_Unit = list[tuple[int, list[str]]]


class _Table(NamedTuple):
    """Columns of a file; ``geometry`` is a key of ``_GEOMETRIES``, or ``"xyxy"`` and ``"xywh"`` for bbox."""

    columns: dict[str, int]
    geometry: str
    has_header: bool

    def numbers(self, row: list[str], where: tuple[str, int]) -> list[float] | None:
        """The box of a row, ``None`` if its fields are empty.

        Raises:
            RecordError: if a field is not a number.
        """
        words = [row[self.columns[key]].strip() for key in ("x1", "y1", "x2", "y2") if key in self.columns]
        if len(words) == 1:
            words = re.findall(r"[^\s,;\[\]()]+", words[0])
        if not any(words):
            return None
        if len(words) != 4:
            raise RecordError("parse", f"bbox has {len(words)} numbers, expected 4", *where)
        keys = _CORNERS if self.geometry == "corners" else ("x", "y", "width", "height")
        return [number(word, key, where) for word, key in zip(words, keys, strict=True)]


def sniff(path: Path) -> bool:
    """A CSV (or a folder with some) whose header names an image and a box."""
    return bool(_files(path))


def _files(path: Path) -> list[Path]:
    return files_of(path, (".csv", ".tsv"), _has_header)


def _split(file: Path) -> str:
    return next((s for s in map(split_of, (*re.split(r"[_.-]", file.stem), file.parent.name)) if s), "")


def _has_header(file: Path) -> bool:
    try:
        table = _table(file, None)
    except (RecordError, StopIteration, OSError):
        return False
    return not is_open_images(file) and ("class" in table.columns or table.geometry == "bbox")


def _table(file: Path, given: str | None) -> _Table:
    """The columns of a file by its header or by the setting ``columns``.

    Raises:
        RecordError: naming the missing column and the header.
    """
    header, has_header = next(csv_rows(file), (0, [""]))[1], given is None
    if given is not None:
        header = given.split(",")
    elif _is_make_sense(header):
        header, has_header = _MAKE_SENSE.split(","), False
    columns = column_index(header, {**_COLUMNS, **_IMAGE_SIZE}, file)
    names = {plain_name(name) for name in header}
    fitting = [
        geometry
        for geometry, wanted in _GEOMETRIES.items()
        if all(names.intersection(synonyms) for synonyms in wanted.values())
    ]
    geometry = fitting[0] if fitting else "corners"
    wanted = _GEOMETRIES[geometry]
    readable = dict(zip(_CORNERS, wanted.values(), strict=False))  # for messages
    box = dict(zip(wanted, column_index(header, readable, file).values(), strict=True))
    plain = [plain_name(name) for name in header]
    for side in ("width", "height"):  # of the image, unless it is the box's
        if side not in columns and side in plain and plain.index(side) not in box.values():
            columns[side] = plain.index(side)
    return _Table({**columns, **box}, geometry, has_header)


def _is_make_sense(row: list[str]) -> bool:
    """Whether a first row is a box of Make Sense: label, x, y, width, height, image, its width and height."""
    numbers = [word.strip().lstrip("-").replace(".", "", 1).isdigit() for word in row]
    return len(row) == 8 and is_image(row[5]) and numbers == [numbers[0], *4 * [True], False, True, True]


def read(path: Path, options: ReadOptions, _report: Report) -> LabelSource:
    """One CSV file, or a folder with one per split.

    Raises:
        RecordError: if a column is missing; the message shows the header.
        DataError: if the order of a column ``bbox`` cannot be decided.
    """
    files = [path] if path.is_file() else _files(path)
    tables = {file: _table(file, options.settings.get("columns")) for file in files}
    fractions = set()
    normalised = choice(options, "normalised", "auto", "yes", "no")
    for file, table in tables.items():
        if table.geometry == "bbox":
            tables[file] = table._replace(geometry=_order(file, table, options))
        if "class" not in table.columns and not options.settings.get("single_class"):
            raise RecordError("parse", "no column for the class; set single_class=NAME", file, 1)
        if normalised == "yes" or (normalised == "auto" and _has_fractions(file, table)):
            fractions.add(str(file))
    parse = functools.partial(
        _parse,
        images={str(file): split_images(options, file.parent, _split(file)) for file in files},
        rule=convention(options.coords or "edge"),
        fractions=frozenset(fractions),
        single=options.settings.get("single_class", ""),
    )
    return LabelSource(functools.partial(_units, tables), parse, options.names)


def _boxes(file: Path, table: _Table) -> Iterator[list[float]]:
    """The numbers of every box that can be read."""
    width = max(table.columns.values()) + 1
    for place, (line, row) in enumerate(csv_rows(file)):
        if place or not table.has_header:
            numbers = table.numbers(row + [""] * (width - len(row)), (str(file), line))
            if numbers:
                yield numbers


def _order(file: Path, table: _Table, options: ReadOptions) -> str:
    """Order of the numbers of a column ``bbox``, as set, or as its boxes prove: corners always ascend."""
    order = choice(options, "bbox", "auto", "xywh", "xyxy")
    if order != "auto":
        return order
    if all(w > x and h > y for x, y, w, h in _boxes(file, table)):
        raise DataError(
            f"{file}: the column bbox may be x, y, width, height or two corners; set bbox=xywh or bbox=xyxy"
        )
    return "xywh"


def _has_fractions(file: Path, table: _Table) -> bool:
    """Whether all numbers are at most 1 and some are not integers; integers may be boxes of one pixel."""
    broken = False
    try:
        for numbers in _boxes(file, table):
            if max(numbers) > 1:
                return False
            broken = broken or not all(value.is_integer() for value in numbers)
    except RecordError:
        return False
    return broken


def _units(tables: dict[Path, _Table]) -> Iterator[tuple[str, _Table, _Unit]]:
    for file, table in tables.items():
        place = table.columns["filename"]

        def body(
            file: Path = file, table: _Table = table, width: int = max(table.columns.values()) + 1
        ) -> Iterator[tuple[int, list[str]]]:
            rows = csv_rows(file)
            if table.has_header:
                next(rows)
            for line, row in rows:
                yield line, row + [""] * (width - len(row))

        for rows in grouped(body, lambda row: row[place]):  # noqa: B023 - used up before the next turn
            yield str(file), table, rows


def _parse(
    unit: tuple[str, _Table, _Unit],
    report: Report,
    *,
    images: Mapping[str, ImageFinder],
    rule: Convention,
    fractions: frozenset[str],
    single: str,
) -> Iterable[Record]:
    path, table, rows = unit
    columns = table.columns
    line, first = rows[0]
    name = first[columns["filename"]]
    if not name.strip():
        raise RecordError("parse", "no file name", path, line)
    stated = size_of(*(first[columns[key]] if key in columns else None for key in ("width", "height")))
    found = images[path].locate([name, name.strip()], stated, (path, line), report)
    boxes, lost = [], False
    for line, row in rows:
        try:
            box = _box(row, table, rule, single, (path, line))
        except RecordError as error:
            report.add(error.code, error.reason, error.file, error.line)
            lost = True
            continue
        if box is not None:
            boxes.append(box)
    sx, sy = (found.width, found.height) if path in fractions else (found.sx, found.sy)
    for box in boxes:
        box.x1, box.y1, box.x2, box.y2 = box.x1 * sx, box.y1 * sy, box.x2 * sx, box.y2 * sy
    status = Status.ANNOTATED if boxes or lost else Status.BACKGROUND
    split = first[columns["split"]].strip() if "split" in columns else ""
    split = split_of(split) or _split(Path(path))
    short = name.replace("\\", "/").lstrip("/") if not Path(name).is_absolute() else Path(name).name
    return [Record(found.image, short, found.width, found.height, boxes, status.value, split, path)]


def _box(row: list[str], table: _Table, rule: Convention, single: str, where: tuple[str, int]) -> Box | None:
    numbers, columns = table.numbers(row, where), table.columns
    if numbers is None:
        return None
    a, b, c, d = numbers
    if table.geometry in ("corners", "xyxy"):
        a, b, c, d = to_edges(rule, a, b, c, d)
    elif table.geometry == "centre":
        a, b, c, d = a - c / 2, b - d / 2, a + c / 2, b + d / 2
    else:
        a, b, c, d = a - rule.origin, b - rule.origin, a - rule.origin + c, b - rule.origin + d
    flags = flags_from(dict.fromkeys(row[columns["flags"]].split(), 1)) if "flags" in columns else 0
    score = row[columns["score"]].strip() if "score" in columns else ""
    label = row[columns["class"]].strip() if "class" in columns else single
    if not label and not flags & Flag.IGNORE:
        raise RecordError("parse", "a box without a class", *where)
    return Box(label, a, b, c, d, flags, number(score, "score", where) if score else None, where[1])


def write(samples: Iterable[Sample], names: tuple[str, ...], out: Output) -> None:
    """``<split>.csv``, or one file for all; the tutorials' eight columns, then split, flags and score."""
    started = set()
    with out.growing() as append:
        for sample, image, name in out.place_all(samples, lambda sample: f"images/{sample.split or 'train'}"):
            file = out.file("{split}.csv", sample.split)
            if file not in started:
                started.add(file)
                append(file, csv_line(_HEADER))
            path = str(image.absolute()) if out.link == "none" and not out.single else name + image.suffix
            start = (path, sample.width, sample.height)
            if not len(sample):
                append(file, csv_line((*start, "", "", "", "", "", sample.split, "", "")))
            scores = [""] * len(sample) if sample.scores is None else sample.scores.tolist()
            rows = zip(
                sample.classes.tolist(), sample.flags.tolist(), scores, sample.boxes.tolist(), strict=True
            )
            for class_id, flags, score, corners in rows:
                label = names[class_id] if class_id != ANY_CLASS else ""
                values = (f"{value:.12g}" for value in corners)
                append(
                    file, csv_line((*start, label, *values, sample.split, " ".join(flag_names(flags)), score))
                )
