# SPDX-License-Identifier: Apache-2.0
"""Files that appear complete or not at all."""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydarknet.errors import FileError

_log = logging.getLogger("pydarknet")

T = TypeVar("T")


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary file that replaces ``path`` when the block ends, and is deleted if the block fails.

    It has the name of ``path``, because some writers choose their format by it, in its own folder beside
    ``path``, because some writers make temporary files: a crash leaves only one folder ``.NAME.*``.

    Raises:
        FileError: the folder cannot be made or written to.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp("", f".{target.stem[:80]}.", target.parent))
    except OSError as error:
        raise FileError(f"{target}: cannot be written: {error.strerror}") from None
    temporary = scratch / target.name
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise FileError(f"{target}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


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
    """Write a UTF-8 text file at once."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def finite(value: Any) -> Any:
    """The value for JSON, with None in place of nan and infinity, which JSON lacks."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
