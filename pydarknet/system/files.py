# SPDX-License-Identifier: Apache-2.0
"""Files that users name, opened for reading: files only, none of which can block or fill the memory."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

#: Bytes that a file may have which is read as a whole: more than any list, names file, cfg, log or image.
LARGEST = 2 << 30
_LONGEST_LINE = 1 << 26

_KINDS = (
    (stat.S_ISDIR, "is a folder"),
    (stat.S_ISFIFO, "is a named pipe"),
    (stat.S_ISSOCK, "is a socket"),
    (stat.S_ISCHR, "is a device"),
    (stat.S_ISBLK, "is a device"),
)


def open_file(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading.

    A pipe without a name, such as ``/dev/stdin`` or the ``<(...)`` of a shell, is accepted: something writes
    to it. Folders, devices, sockets and named pipes are not.

    Raises:
        OSError: it is not a file or cannot be opened; ``strerror`` says why.
    """
    name = os.fspath(path)
    info = os.stat(name)  # noqa: PTH116
    if not stat.S_ISREG(info.st_mode) and not (stat.S_ISFIFO(info.st_mode) and _is_unnamed(name)):
        kind = next((text for is_kind, text in _KINDS if is_kind(info.st_mode)), "is something else")
        raise OSError(errno.EINVAL, f"{kind}; expected a file", name)
    return open(name, "rb")  # noqa: PTH123


def read_file(path: str | os.PathLike[str], limit: int = LARGEST) -> bytes:
    """Read a file that :func:`open_file` accepts.

    Args:
        path: of the file.
        limit: most bytes it may have.

    Raises:
        OSError: it cannot be opened or read, or is larger than the limit.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(limit + 1) if size <= limit else b""
    if size > limit or len(data) > limit:
        raise OSError(errno.EFBIG, f"is larger than {limit >> 20} MiB", os.fspath(path))
    return data


def raw_lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Number, from 1, and content of each line of a file, with its end; one is in memory at a time.

    Raises:
        OSError: a line is longer than any of a text file.
    """
    number = 0
    while line := file.readline(_LONGEST_LINE + 1):
        number += 1
        if len(line) > _LONGEST_LINE:
            raise OSError(errno.EFBIG, f"line {number} is longer than {_LONGEST_LINE >> 20} MiB", file.name)
        yield number, line


def _is_unnamed(path: str) -> bool:
    """Whether a pipe has no name in the file system: the links in /dev/fd lead to none."""
    return not Path(os.path.realpath(path)).exists()
