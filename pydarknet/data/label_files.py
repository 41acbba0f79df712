# SPDX-License-Identifier: Apache-2.0
"""Writing of label files and of files that appear complete or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pydarknet.system.atomic import replacing
from pydarknet.system.text import encode


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[IO[bytes]]:
    """A binary file that replaces ``path`` when the block ends, and leaves it alone if the block fails.

    Raises:
        FileError: if the folder cannot be created or written to.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        yield file


def write_text(path: str | Path, text: str) -> None:
    """Write a small UTF-8 text file, such as a label; its folder is made.

    A file that has another text is replaced at once, and one that has this text is left alone. A file that
    is not there yet is written in place and not flushed: labels count only once a list names them, and
    there may be a million.
    """
    data = encode(text)
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
