# SPDX-License-Identifier: Apache-2.0
"""Files that appear complete or not at all."""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydarknet.errors import FileError
from pydarknet.system.text import encode

_log = logging.getLogger("pydarknet")

T = TypeVar("T")


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary file that replaces ``path`` when the block ends, and is deleted if the block fails.

    It has the name of ``path``, because some writers choose their format by it, in its own folder beside
    ``path``, because some writers make temporary files: a crash leaves only one folder ``.NAME.*``.
    A symbolic link stays: the file that it leads to is replaced. A device, pipe or socket cannot be replaced:
    the block then writes to ``path`` itself.

    Raises:
        FileError: the folder cannot be made or written to, or ``path`` is a folder.
    """
    path = Path(path)
    with _as_file_errors(path):
        target = _meant(path)
        if target is None:
            yield path
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp("", f".{target.stem[:40]}.", target.parent))
        temporary = scratch / path.name
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _meant(path: Path) -> Path | None:
    """The file to replace, which is that at the end of symbolic links; None if it can only be written to."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        pass  # a new file, maybe one that a link leads to
    else:
        if stat.S_ISDIR(mode):
            raise FileError(f"{path}: cannot be written: is a folder; give the name of a file")
        if not stat.S_ISREG(mode):
            return None
    return Path(os.path.realpath(path)) if path.is_symlink() else path


@contextlib.contextmanager
def _as_file_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"{path}: cannot be written: {error.strerror or error}") from None


_PASSING = (errno.ESTALE, errno.EIO, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY)
_PAUSES = (0.2, 1.0, 5.0)  # seconds before the next attempt


def persistently(action: Callable[[], T]) -> T:
    """Call a function that writes a complete file; repeat it after an error that may be temporary.

    Mounted drives fail for a moment; a full or read-only disk does not recover. The two are distinguished by
    the message, because writers outside Python give no error number.

    Raises:
        FileError: the last attempt failed, or the error is not temporary.
    """
    for pause in _PAUSES:
        try:
            return action()
        except FileError as error:
            if not any(os.strerror(number) in str(error) for number in _PASSING):
                raise
            _log.warning("%s; trying again in %g s", error, pause)
            time.sleep(pause)
    return action()


class _Abandoned(Exception):
    pass


def abandon(stack: contextlib.ExitStack) -> None:
    """Leave the contexts of a stack as if they had failed: files of :func:`replacing` never appear."""
    with contextlib.suppress(_Abandoned), stack:
        raise _Abandoned


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file at once; see :func:`pydarknet.system.text.encode`."""
    with replacing(path) as temporary:
        temporary.write_bytes(encode(text))


def finite(value: Any) -> Any:
    """The value for JSON, with None in place of nan and infinity, which JSON lacks."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
