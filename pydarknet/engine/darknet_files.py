# SPDX-License-Identifier: Apache-2.0
"""Darknet's small text files and numbers: ``.data``, ``.names``, paths in them, types of heads."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from unicodedata import normalize

from pydarknet.errors import RecordError
from pydarknet.system.text import lines_of

#: Number of each head type in the lines "Detection layer: N - type = T" of Darknet's output.
_HEAD_NUMBERS = {"region": 27, "yolo": 28, "gaussian_yolo": 29}


def head_line(layer: int, kind: str) -> str | None:
    """Darknet's line about a detection head, without its end; None for other layers.

    Args:
        layer: index of the layer.
        kind: its type, as the cfg or the engine spells it.
    """
    number = _HEAD_NUMBERS.get(kind.lower())
    return None if number is None else f" Detection layer: {layer} - type = {number} "


def read_data(path: str | Path) -> dict[str, tuple[str, int]]:
    """Read the keys of a ``.data`` file, with their values and line numbers.

    As in Darknet, the first of two equal keys counts.

    Raises:
        RecordError: the file cannot be read, or a line is not ``key = value``.
    """
    found: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(lines_of(path), 1):
        if not line or line[0] in "#;":
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not key:
            raise RecordError("parse", f"expected 'key = value', found {line!r}", path, number)
        found.setdefault(key, (value, number))
    return found


def read_names(path: str | os.PathLike[str], *, strict: bool = False) -> tuple[str, ...]:
    """Read a ``.names`` file: one class name per line, the class id being the line number less 1.

    Blank lines at the end do not count.

    Args:
        path: the file.
        strict: refuse what a data set cannot have: blank lines in between, and a name that occurs twice.

    Raises:
        RecordError: the file cannot be read, is not text, is empty, or breaks the strict rules.
    """
    names = lines_of(path)
    if names == [""]:
        raise RecordError("parse", "is empty; expected one class name per line", path)
    for number, name in enumerate(names if strict else (), 1):
        if not name:
            raise RecordError("parse", "blank line; Darknet counts it as a class", path, number)
        if name in names[: number - 1]:
            raise RecordError("parse", f"duplicate class {name!r}", path, number)
    return tuple(names)


def resolve(entry: str, *folders: str | Path) -> Path:
    """Make an entry of a list or ``.data`` file an absolute path, see :meth:`Places.find`.

    An absolute path that does not exist is also looked for below each folder, which may have moved.
    """
    places = Places(*folders)
    places.learn(entry)
    return places.find(entry)


class Places:
    """Folders below which the files that a ``.data`` file and its lists name are looked for.

    Args:
        folders: to start from, after the working directory.
        moved: pairs of an old folder and its place now, both with a slash at the end.
    """

    def __init__(self, *folders: str | Path, moved: Sequence[tuple[str, str]] = ()) -> None:
        self.folders, self.moved = folders, list(moved)

    def learn(self, entry: str) -> None:
        """If an absolute path does not exist, but its end does below a folder, note that the folder moved."""
        entry = entry.strip()
        if not os.path.isabs(entry) or os.path.exists(entry):  # noqa: PTH110, PTH117
            return
        parts = entry.strip("/").split("/")
        ends = ["/".join(parts[start:]) for start in range(1, len(parts))]
        for folder, end in itertools.product(map(os.path.abspath, self.folders), ends):
            if os.path.exists(f"{folder}/{end}"):  # noqa: PTH110
                self.moved.append((entry.removesuffix(end), f"{folder}/"))
                return

    def find(self, entry: str) -> Path:
        """Absolute path of an entry.

        Tried in order: as it is (absolute, or from the working directory), then from each folder; then the
        same with the separators of Windows, and without a leading ``data/``, which means the export's own
        folder in CVAT; then in the folders that moved. If nothing exists the last folder's path is returned,
        so that messages can name it.
        """
        entry = os.path.expanduser(entry.strip())  # noqa: PTH111 - Path would drop a trailing slash's meaning
        for spelling in _spellings(entry):
            for folder in ("", *self.folders):
                path = Path(os.path.abspath(os.path.join(folder, spelling)))  # noqa: PTH100, PTH118
                if path.exists():
                    return path
        for old, new in self.moved:
            if entry.startswith(old) and (found := Path(new + entry.removeprefix(old))).exists():
                return found
        return Path(os.path.abspath(os.path.join(("", *self.folders)[-1], entry)))  # noqa: PTH100, PTH118


def _spellings(entry: str) -> Iterator[str]:
    yield entry
    slashes = re.sub(r"^[A-Za-z]:/*", "", entry.replace("\\", "/"))
    if slashes != entry:
        yield slashes
    if slashes.startswith("data/"):
        yield slashes.removeprefix("data/")
    yield from other_unicode(slashes)


def other_unicode(name: str) -> list[str]:
    """The same name in the other forms of Unicode: macOS writes accents as characters of their own."""
    if name.isascii():
        return []
    return [form for form in (normalize("NFC", name), normalize("NFD", name)) if form != name]
