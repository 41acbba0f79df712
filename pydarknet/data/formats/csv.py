# SPDX-License-Identifier: Apache-2.0
"""One CSV row per box, as in the TensorFlow object detection tutorials; columns in any order.

Corners are pixels on edges, or fractions if none of a file's is above 1 and not all are whole. An empty
class and box means background.
"""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydarknet.data.coords import Convention, convention, to_edges
from pydarknet.data.dataset import ANY_CLASS, Flag, Sample, Status, flag_names, flags_from
from pydarknet.data.formats._common import (
    ImageFinder,
    choice,
    column_index,
    csv_rows,
    grouped,
    number,
    size_of,
    split_images,
)
from pydarknet.data.issues import Report
from pydarknet.data.output import Output
from pydarknet.data.paths import split_of
from pydarknet.data.records import Box, LabelSource, ReadOptions, Record
from pydarknet.errors import RecordError

SETTINGS = {
    "columns": "names of the columns if the file has no header: filename,xmin,ymin,xmax,ymax,class",
    "normalised": "corners are fractions: auto (default), yes or no",
}

_COLUMNS = {
    "filename": ["filename", "image", "imagepath", "imgfile", "file", "path", "imagename", "imageid"],
    "class": ["class", "label", "name", "category", "celltype", "classname"],
    "xmin": ["xmin", "x1", "left"],
    "ymin": ["ymin", "y1", "top"],
    "xmax": ["xmax", "x2", "right"],
    "ymax": ["ymax", "y2", "bottom"],
    "width?": ["width", "imagewidth", "imgwidth"],
    "height?": ["height", "imageheight", "imgheight"],
    "split?": ["split", "set", "subset"],
    "flags?": ["flags"],
    "score?": ["score", "confidence"],
}
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_HEADER = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax", "split", "flags", "score")
_Unit = list[tuple[int, list[str]]]


def sniff(path: Path) -> bool:
    """A CSV (or a folder with one) whose header names a file, a class and four corners."""
    return bool(_files(path))


def _files(path: Path) -> list[Path]:
    files = [path] if path.is_file() else [*sorted(path.glob("*.csv")), *sorted(path.glob("*/*.csv"))]
    return [file for file in files if file.suffix.lower() == ".csv" and _has_header(file)]


def _split(file: Path) -> str:
    return next((s for s in map(split_of, (*file.stem.split("_"), file.parent.name)) if s), "")


def _has_header(file: Path) -> bool:
    try:
        _, header = next(csv_rows(file))
        column_index(header, _COLUMNS, file)
    except (RecordError, StopIteration):
        return False
    return True


def read(path: Path, options: ReadOptions, _report: Report) -> LabelSource:
    """One CSV file, or a folder with one per split.

    Raises:
        RecordError: if a column is missing; the message shows the header.
    """
    given = options.settings.get("columns")
    files = [path] if path.is_file() else _files(path)
    headers = {}
    fractions = set()
    normalised = choice(options, "normalised", "auto", "yes", "no")
    for file in files:
        header = given.split(",") if given else next(csv_rows(file), (0, [""]))[1]
        headers[file] = column_index(header, _COLUMNS, file)
        if normalised == "yes" or (normalised == "auto" and _has_fractions(file, headers[file], not given)):
            fractions.add(str(file))
    parse = functools.partial(
        _parse,
        images={str(file): split_images(options, file.parent, _split(file)) for file in files},
        rule=convention(options.coords or "edge"),
        fractions=frozenset(fractions),
    )
    return LabelSource(functools.partial(_units, headers, bool(given)), parse, options.names)


def _has_fractions(file: Path, columns: dict[str, int], has_header: bool) -> bool:
    """Whether all corners are at most 1 and some are not integers; integers may be boxes of one pixel."""
    broken = False
    for place, (_, row) in enumerate(csv_rows(file)):
        if place == 0 and has_header:
            continue
        for key in _CORNERS:
            word = row[columns[key]].strip() if columns[key] < len(row) else ""
            try:
                value = float(word or 0)
            except ValueError:
                return False
            if value > 1:
                return False
            broken = broken or not value.is_integer()
    return broken


def _units(
    headers: dict[Path, dict[str, int]], headless: bool
) -> Iterator[tuple[str, dict[str, int], _Unit]]:
    for file, columns in headers.items():
        place = columns["filename"]

        def body(
            file: Path = file, width: int = max(columns.values()) + 1
        ) -> Iterator[tuple[int, list[str]]]:
            rows = csv_rows(file)
            if not headless:
                next(rows)
            for line, row in rows:
                yield line, row + [""] * (width - len(row))

        for rows in grouped(body, lambda row: row[place]):  # noqa: B023 - used up before the next turn
            yield str(file), columns, rows


def _parse(
    unit: tuple[str, dict[str, int], _Unit],
    report: Report,
    *,
    images: Mapping[str, ImageFinder],
    rule: Convention,
    fractions: frozenset[str],
) -> Iterable[Record]:
    path, columns, rows = unit
    line, first = rows[0]
    name = first[columns["filename"]].strip()
    if not name:
        raise RecordError("parse", "no file name", path, line)
    stated = size_of(*(first[columns[key]] if key in columns else None for key in ("width", "height")))
    found = images[path].locate([name], stated, (path, line), report)
    boxes = []
    for line, row in rows:
        if any(row[columns[key]].strip() for key in _CORNERS):
            boxes.append(_box(row, columns, rule, (path, line)))
    sx, sy = (found.width, found.height) if path in fractions else (found.sx, found.sy)
    for box in boxes:
        box.x1, box.y1, box.x2, box.y2 = box.x1 * sx, box.y1 * sy, box.x2 * sx, box.y2 * sy
    status = Status.ANNOTATED if boxes else Status.BACKGROUND
    split = first[columns["split"]].strip() if "split" in columns else ""
    split = split_of(split) or _split(Path(path))
    short = name.replace("\\", "/").lstrip("/") if not Path(name).is_absolute() else Path(name).name
    return [Record(found.image, short, found.width, found.height, boxes, status.value, split, path)]


def _box(row: list[str], columns: dict[str, int], rule: Convention, where: tuple[str, int]) -> Box:
    values = [number(row[columns[key]], key, where) for key in _CORNERS]
    flags = flags_from(dict.fromkeys(row[columns["flags"]].split(), 1)) if "flags" in columns else 0
    score = row[columns["score"]].strip() if "score" in columns else ""
    label = row[columns["class"]].strip()
    if not label and not flags & Flag.IGNORE:
        raise RecordError("parse", "a box without a class", *where)
    return Box(
        label, *to_edges(rule, *values), flags, number(score, "score", where) if score else None, where[1]
    )


def write(samples: Iterable[Sample], names: tuple[str, ...], out: Output) -> None:
    """``<split>.csv``, or one file for all; the tutorials' eight columns, then split, flags and score."""
    started = set()
    with out.growing() as append:
        for sample, image, name in out.place_all(samples, lambda sample: f"images/{sample.split or 'train'}"):
            file = out.file("{split}.csv", sample.split)
            if file not in started:
                started.add(file)
                append(file, _line(_HEADER))
            path = str(image.absolute()) if out.link == "none" and not out.single else name + image.suffix
            start = (path, sample.width, sample.height)
            if not len(sample):
                append(file, _line((*start, "", "", "", "", "", sample.split, "", "")))
            scores = [""] * len(sample) if sample.scores is None else sample.scores.tolist()
            rows = zip(
                sample.classes.tolist(), sample.flags.tolist(), scores, sample.boxes.tolist(), strict=True
            )
            for class_id, flags, score, corners in rows:
                label = names[class_id] if class_id != ANY_CLASS else ""
                values = (f"{value:.12g}" for value in corners)
                append(
                    file, _line((*start, label, *values, sample.split, " ".join(flag_names(flags)), score))
                )


def _line(values: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()
