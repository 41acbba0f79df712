# SPDX-License-Identifier: Apache-2.0
"""Class names: a ``.names`` file, one name per line, the line number being the class id."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pydarknet.errors import DataError


def read_names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The names of a ``.names`` file, UTF-8 with or without BOM; blank lines at the end do not count.

    Raises:
        DataError: the file cannot be read, is empty, or is no text.
    """
    path = os.fspath(path)
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 ({error.reason} at byte {error.start})") from None
    if "\0" in text:
        raise DataError(f"{path}: holds a NUL byte; expected a text file with one class name per line")
    names = tuple(line.rstrip("\r") for line in text.rstrip().split("\n"))
    if names == ("",):
        raise DataError(f"{path}: is empty; expected one class name per line")
    return names


def names_for(names: str | os.PathLike[str] | Sequence[str] | None, classes: int) -> tuple[str, ...]:
    """Class names of a network: from a file or a list; the ids as text where there are none.

    Raises:
        DataError: their number is not that of the network's classes.
    """
    if names is None:
        return tuple(str(i) for i in range(classes))
    where = ""
    if isinstance(names, (str, os.PathLike)):
        where = f"{os.fspath(names)}: "
        names = read_names(names)
    if classes and len(names) != classes:
        raise DataError(f"{where}found {len(names)} class names, the network has {classes} classes")
    return tuple(names)
