# SPDX-License-Identifier: Apache-2.0
"""Text files from anywhere, and files that appear at once.

Lists and labels come from Windows, PowerShell (UTF-16) and editors that add byte order marks; all of that
is read. What is written appears complete or not at all.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pydarknet.data.issues import RecordError
from pydarknet.system.atomic import replacing

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
def atomic(path: str | Path) -> Iterator[IO[bytes]]:
    """A binary file that replaces ``path`` when the block ends, and leaves it alone if the block fails.

    Raises:
        FileError: if the folder cannot be made or written to.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        yield file


def write_text(path: str | Path, text: str) -> None:
    """Write a small UTF-8 text file, such as a label; its folder is made.

    A file that has another text is replaced at once, and one that has this text is left alone. A file that
    is not there yet is written in place and not flushed: labels count only once a list names them, and
    there may be a million.
    """
    data = text.encode()
    if _create(os.fspath(path), data):
        return
    with contextlib.suppress(OSError):
        if Path(path).stat().st_size == len(data) and Path(path).read_bytes() == data:
            return
    with atomic(path) as file:
        file.write(data)


def _create(path: str, data: bytes) -> bool:
    """Write a new file; ``False`` if there is one already."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        handle = os.open(path, flags, 0o666)
    except FileExistsError:
        return False
    except FileNotFoundError:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return False
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
    except BaseException:
        os.unlink(path)  # noqa: PTH108
        raise
    return True
