# SPDX-License-Identifier: Apache-2.0
"""Beginnings of files, parsed: a format is recognised by elements, keys and columns, never by bytes.

Every function returns an empty value for a file that is something else or cannot be read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from pydarknet.data.formats._common import json_lines, parse_json
from pydarknet.data.formats._jsonstream import JsonStream
from pydarknet.data.formats._tables import csv_rows, plain_name
from pydarknet.data.issues import Report
from pydarknet.data.paths import CONVERSION_MARKS
from pydarknet.errors import DataError, RecordError
from pydarknet.system.files import open_file
from pydarknet.system.text import decode

_ELEMENTS = 200  # array elements that are read through to reach the next key
_TESTED = 50  # files of a folder that are read before it counts as one of another format
_SKIPPED = frozenset(CONVERSION_MARKS)


class JsonHead(NamedTuple):
    """First level of a JSON file.

    Attributes:
        kind: ``"object"``, ``"list"``, or ``""`` if it is neither.
        members: of an object: each key with its value, of an array the first element in a list. Of a list:
            the first element under ``""``.
    """

    kind: str
    members: dict[str, Any]

    def first(self, key: str) -> dict[str, Any]:
        """The object under a key, or the first one of the array there; empty if there is none."""
        value = self.members.get(key)
        value = value[0] if isinstance(value, list) and value else value
        return value if isinstance(value, dict) else {}


def root_tag(path: Path) -> str:
    """Name of the root element of an XML file, without namespace."""
    if path.suffix.lower() != ".xml":
        return ""
    from lxml import etree

    with suppress(etree.XMLSyntaxError, OSError), open_file(path) as file:
        for _, element in etree.iterparse(file, events=("start",), no_network=True, resolve_entities=False):
            return str(etree.QName(element).localname)
    return ""


def json_head(path: Path) -> JsonHead:
    """The first level of a JSON file; long arrays hide the keys behind them."""
    if path.suffix.lower() not in (".json", ".ndjson", ".jsonl", ".odgt", ".manifest"):
        return JsonHead("", {})
    with suppress(OSError):
        info = path.stat()
        return _json_head(path, info.st_size, info.st_mtime_ns)
    return JsonHead("", {})


@lru_cache(maxsize=64)
def _json_head(path: Path, _size: int, _time: int) -> JsonHead:
    members: dict[str, Any] = {}
    stream = JsonStream(path, lists=True)
    count = 0
    with suppress(RecordError, OSError):
        for key, value in stream:
            in_array = stream.in_array
            if key in members:
                count += 1
                if count > _ELEMENTS:
                    break
                continue
            members[key] = [value] if in_array and key else value
            if not key:
                break
    return JsonHead(stream.kind, {**{key: [] for key in stream.keys}, **members})


def first_line(path: Path) -> JsonHead:
    """The first line of a file of JSON lines, as the head of an object."""
    with suppress(RecordError, OSError):
        for line, data in json_lines(path):
            if len(data) > 1 << 22 or not data.lstrip().startswith(b"{"):
                break
            found = parse_json(decode(data, path, line), dict[str, Any], (str(path), line), Report())
            return JsonHead("object", found)
    return JsonHead("", {})


def header(path: Path) -> list[str]:
    """The first row of a CSV file, each column by its plain name."""
    if path.suffix.lower() not in (".csv", ".tsv"):
        return []
    with suppress(RecordError, OSError):
        for _, row in csv_rows(path):
            return [plain_name(column) for column in row]
    return []


def files_of(path: Path, suffixes: Sequence[str], test: Callable[[Path], bool]) -> list[Path]:
    """The files of a format: the path itself, or those in a folder, its ``annotations`` and one level below.

    Args:
        path: file or folder.
        suffixes: endings of the files, lower case.
        test: whether a file has the format.
    """
    if path.is_file():
        return [path] if test(path) else []
    if not path.is_dir():
        return []
    for folders in ([path], [entry for entry in _folders(path) if _is_open(entry)]):
        found = [file for folder in folders for file in _matching(folder, tuple(suffixes), test)]
        if found:
            return found
    return []


def _matching(folder: Path, suffixes: tuple[str, ...], test: Callable[[Path], bool]) -> list[Path]:
    """The files of a format in a folder. If it has many and none of the first is one, none is."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.lower().endswith(suffixes)]
    files = [folder / name for name in sorted(names) if name[0] != "." and name not in _SKIPPED]
    first = [file for file in files[:_TESTED] if file.is_file() and test(file)]
    return first + [file for file in files[_TESTED:] if first and file.is_file() and test(file)]


def given_files(path: Path, files: list[Path], what: str) -> list[Path]:
    """The files to read: those recognised, or the one that was named although it is not.

    Raises:
        DataError: if a folder has none.
    """
    if files or path.is_file():
        return files or [path]
    raise DataError(f"{path}: no {what} there")


def _folders(path: Path) -> list[Path]:
    with os.scandir(path) as entries:
        return sorted(Path(entry) for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _is_open(folder: Path) -> bool:
    """Whether a folder is searched: those that a conversion wrote are not."""
    return not any((folder / mark).exists() for mark in CONVERSION_MARKS)
