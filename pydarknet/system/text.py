# SPDX-License-Identifier: Apache-2.0
"""Text files from any system, decoded; and text for files and terminals, encoded.

Lists and labels come from Windows, PowerShell (UTF-16) and editors that add byte order marks; all of these
are read.
"""

from __future__ import annotations

import codecs
import os
from pathlib import Path
from typing import TextIO, cast

from pydarknet.errors import RecordError
from pydarknet.system.files import LARGEST, read_file

_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def read_text(path: str | os.PathLike[str], limit: int = LARGEST) -> str:
    """Read a whole text file: UTF-8 with or without BOM, or UTF-16 with BOM; line ends become ``\\n``.

    Raises:
        RecordError: ``encoding`` if it is neither, or contains a NUL byte; ``parse`` if it cannot be read, is
            not a file, or has more bytes than the limit.
    """
    try:
        data = read_file(path, limit)
    except OSError as error:
        raise RecordError("parse", f"cannot be read: {error.strerror}", path) from None
    return decode(data, path)


def decode(data: bytes, path: str | os.PathLike[str], line: int = 0) -> str:
    """Decode file contents as :func:`read_text` does.

    Args:
        data: the contents.
        path: of the file, for messages.
        line: line of the file at which the contents begin; by default counted from their beginning.
    """
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


def lines_of(path: str | os.PathLike[str]) -> list[str]:
    """Lines of a text file without outer blanks; index + 1 is the line number, since blank lines are kept.

    Raises:
        RecordError: as for :func:`read_text`.
    """
    return [line.strip() for line in read_text(path).rstrip().split("\n")]


def _escaped(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2)), error.end


#: Handler of characters that an encoding lacks: they become ``\\uXXXX``, which JSON and Python read back.
ESCAPE = "pydarknet.escape"
codecs.register_error(ESCAPE, _escaped)


def encode(text: str) -> bytes:
    """Text as UTF-8; a byte of a file's name that is not UTF-8 becomes ``\\udcXX`` (XX: the byte)."""
    return text.encode("utf-8", ESCAPE)


def printable(text: str) -> str:
    """Text as :func:`encode` writes it."""
    return text if text.isascii() else encode(text).decode()


def is_utf8(text: str) -> bool:
    """Whether the text has no byte of a file's name that is not UTF-8."""
    return printable(text) == text


def open_text(path: Path, mode: str = "w") -> TextIO:
    """Open a text file for writing, encoded as :func:`encode` does; line ends stay as they are written."""
    return cast("TextIO", path.open(mode, encoding="utf-8", errors=ESCAPE, newline=""))
