# SPDX-License-Identifier: Apache-2.0
"""Text files from anywhere, and files that appear at once.

Lists and labels come from Windows, PowerShell (UTF-16) and editors that add byte order marks; all of that
is read. What is written appears complete or not at all.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pydarknet.data.report import RecordError

_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def read_text(path: str | Path) -> str:
    """A whole text file: UTF-8 with or without BOM, or UTF-16 with BOM; line ends become ``\\n``.

    Raises:
        RecordError: ``encoding`` if it is neither, or holds a NUL byte; ``parse`` if it cannot be read.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise RecordError("parse", f"cannot be read: {error.strerror}", path) from None
    return decode(data, path)


def decode(data: bytes, path: str | Path, line: int = 0) -> str:
    """Decode file contents as :func:`read_text` does."""
    encoding = next((name for bom, name in _BOMS if data.startswith(bom)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = line or data.count(b"\n", 0, error.start) + 1
        raise RecordError("encoding", f"not UTF-8: {error.reason}", path, line) from None
    if "\0" in text:
        line = line or text.count("\n", 0, text.index("\0")) + 1
        raise RecordError("encoding", "holds a NUL byte; is this a text file?", path, line)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def lines_of(path: str | Path) -> list[str]:
    """The lines of a text file without outer blanks; blank lines stay, so that the index + 1 is the line
    number."""
    return [line.strip() for line in read_text(path).rstrip().split("\n")]


@contextlib.contextmanager
def atomic(path: str | Path, *, sync: bool = True) -> Iterator[IO[bytes]]:
    """A binary file that replaces ``path`` when the block ends, and leaves it alone if the block fails.

    Args:
        path: the file to write; its folder is made.
        sync: flush to the disk before the rename; label files by the hundred thousand go without.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_UMASK)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


def write_text(path: str | Path, text: str, *, sync: bool = True) -> None:
    """Write a UTF-8 text file at once; a file that already has this text is not touched."""
    data = text.encode()
    with contextlib.suppress(OSError):
        if Path(path).stat().st_size == len(data) and Path(path).read_bytes() == data:
            return
    with atomic(path, sync=sync) as file:
        file.write(data)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _umask()  # read once: changing it to learn it is not safe among threads
