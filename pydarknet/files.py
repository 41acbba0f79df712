# SPDX-License-Identifier: Apache-2.0
"""Files that appear complete or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pydarknet.errors import FileError


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place when the block ends, and goes when it fails.

    The suffix is that of ``path``, since some writers choose their format by it.

    Raises:
        FileError: the folder cannot be made or written to.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(target.suffix, f".{target.stem[:80]}.", target.parent)
        os.close(descriptor)
    except OSError as error:
        raise FileError(f"{target}: cannot be written: {error.strerror}") from None
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(target)
    except OSError as error:
        raise FileError(f"{target}: cannot be written: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)


class _Abandoned(Exception):
    pass


def abandon(stack: contextlib.ExitStack) -> None:
    """Leave the contexts of a stack as if they had failed: files of :func:`replacing` never appear."""
    with contextlib.suppress(_Abandoned), stack:
        raise _Abandoned


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file at once."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
