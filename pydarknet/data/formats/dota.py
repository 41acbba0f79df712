# SPDX-License-Identifier: Apache-2.0
"""DOTA: one text per image in ``labelTxt`` with the four corners of rotated boxes, images in ``images``.

A line is ``x1 y1 x2 y2 x3 y3 x4 y4 category difficult`` in pixels; a box becomes its envelope. Format:
https://captain-whu.github.io/DOTA/dataset.html
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path

from pydarknet.data.dataset import Flag, Status
from pydarknet.data.formats._common import ImageFinder, images_for, number, paired, unlabelled
from pydarknet.data.formats._records import boxes_of, record
from pydarknet.data.formats._shapes import points_envelope
from pydarknet.data.issues import Report
from pydarknet.data.paths import inner_name, walk
from pydarknet.data.records import Box, LabelSource, ReadOptions, Record
from pydarknet.errors import DataError, RecordError
from pydarknet.system.text import lines_of

_HEADS = ("imagesource:", "gsd:")
_FOLDERS = ("labelTxt", "labelTxt-v1.0", "labelTxt-v1.5", "labelTxt-v2.0", "labels")


def sniff(path: Path) -> bool:
    """A folder with texts of eight numbers and a category."""
    return path.is_dir() and any(map(_is_label, islice(walk(path, (".txt",)), 20)))


def _is_label(file: Path) -> bool:
    with suppress(RecordError, ValueError):
        return any(map(_is_row, _rows(file)[:20]))
    return False


def _is_row(line: str) -> bool:
    words = line.split()
    return len(words) in (9, 10) and all(map(_is_number, words[:8])) and not _is_number(words[8])


def _is_number(word: str) -> bool:
    return word.replace(".", "", 1).lstrip("-").isdigit()


def _rows(file: Path | str) -> list[str]:
    return [line for line in lines_of(file) if line and not line.lower().startswith(_HEADS)]


def read(path: Path, options: ReadOptions, _report: Report) -> LabelSource:
    """A folder with ``labelTxt`` and ``images``, one with such a folder per split, or texts beside images.

    Raises:
        DataError: if there is no text.
    """
    if not path.is_dir() or not any(walk(path, (".txt",))):
        raise DataError(f"{path}: no DOTA labels there; give the folder that has labelTxt and images")
    labels = next((path / name for name in _FOLDERS if (path / name).is_dir()), path)
    folder = path / "images" if (path / "images").is_dir() else path
    parse = functools.partial(_parse, images=images_for(options, folder))
    units = functools.partial(paired, labels, ".txt", options.images or folder)
    return LabelSource(units, parse, options.names)


def _parse(unit: tuple[str, str, str], report: Report, *, images: ImageFinder) -> Iterable[Record]:
    path, name, split = unit
    if not path.endswith(".txt"):
        return [unlabelled(path, name, split, report)]
    parts = Path(name).parts
    beside = str(Path(*("images" if part in _FOLDERS else part for part in parts)))
    found = images.locate([beside, name], None, (path, 0), report)
    numbered = [
        (line, text.split())
        for line, text in enumerate(lines_of(path), 1)
        if text and not text.lower().startswith(_HEADS)
    ]
    boxes = boxes_of(numbered, lambda row: _box(row[1], (path, row[0]), report), report)
    status = Status.ANNOTATED if numbered else Status.BACKGROUND
    short = inner_name("/".join(part for part in parts if part not in _FOLDERS))
    return [record(found, short + Path(found.image).suffix, boxes, status, split, path)]


def _box(row: list[str], where: tuple[str, int], report: Report) -> Box:
    if len(row) not in (9, 10):
        raise RecordError("parse", f"{len(row)} columns, expected 9 or 10", *where)
    values = [number(word, "a corner", where) for word in row[:8]]
    corners = points_envelope(values[0::2], values[1::2])
    report.add("rotated", f"{row[8]}: four corners", *where, action="envelope taken")
    flags = Flag.DIFFICULT if len(row) == 10 and row[9] == "1" else Flag(0)
    return Box(row[8], *corners, int(flags), None, where[1])
