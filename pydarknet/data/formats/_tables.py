# SPDX-License-Identifier: Apache-2.0
"""CSV files: rows with their line numbers, columns by name, rows of one image together."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, TypeVar

from pydarknet.errors import RecordError
from pydarknet.system.files import open_file, raw_lines
from pydarknet.system.text import decode, read_text

T = TypeVar("T")

_DELIMITERS = ",;\t|"


def csv_rows(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields) of every row that is not blank, one at a time.

    The delimiter is the one that the first line has most of: comma, semicolon, tab or bar.

    Raises:
        RecordError: ``encoding`` or ``parse`` at the row that cannot be read.
    """
    with open_file(path) as file:
        wide = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        file.seek(0)
        lines = iter(io.StringIO(read_text(path))) if wide else _text_lines(file, path)
        start = list(itertools.islice(lines, 1))
        delimiter = max(_DELIMITERS, key=start[0].count) if start else ","
        reader = csv.reader(itertools.chain(start, lines), delimiter=delimiter, strict=True)
        try:
            for row in reader:
                if any(row):
                    yield reader.line_num, row
        except csv.Error as error:
            raise RecordError("parse", str(error), path, reader.line_num) from None


def _text_lines(file: BinaryIO, path: str | Path) -> Iterator[str]:
    for count, line in raw_lines(file):
        yield decode(line.removeprefix(codecs.BOM_UTF8) if count == 1 else line, path, count)


def csv_line(values: Iterable[object]) -> str:
    """One row with its line end, quoted where necessary."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def plain_name(column: str) -> str:
    """A column's name without case, blanks and underscores."""
    return column.strip().lower().replace("_", "").replace(" ", "")


def column_index(
    header: Sequence[str], wanted: Mapping[str, Sequence[str]], path: str | Path
) -> dict[str, int]:
    """Positions of columns found by any of their names, see :func:`plain_name`; a name ending in ``?`` may
    lack.

    Raises:
        RecordError: naming the missing column and the header found.
    """
    plain = [plain_name(name) for name in header]
    found = {}
    for key, synonyms in wanted.items():
        places = [plain.index(name) for name in synonyms if name in plain]
        if places:
            found[key.rstrip("?")] = places[0]
        elif not key.endswith("?"):
            raise RecordError("parse", f"no column {key!r}; the header is {','.join(header)}", path, 1)
    return found


def grouped(
    rows: Callable[[], Iterable[tuple[int, T]]], key: Callable[[T], str]
) -> Iterator[list[tuple[int, T]]]:
    """Rows of the same key together, in the order of first appearance.

    Sorted files stream; others are held in memory.
    """
    last, is_sorted = "", True
    for _, row in rows():
        is_sorted = is_sorted and last <= key(row)
        last = key(row)
    if is_sorted:
        for _, group in itertools.groupby(rows(), lambda item: key(item[1])):
            yield list(group)
        return
    groups: dict[str, list[tuple[int, T]]] = {}
    for line, row in rows():
        groups.setdefault(key(row), []).append((line, row))
    yield from groups.values()
