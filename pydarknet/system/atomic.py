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
    """A file to write that takes the place of ``path`` when the block ends, and goes when it fails.

    It has the name of ``path``, since some writers choose their format by it, in a folder of its own beside
    ``path``, since some make temporary files of theirs: after a crash one folder ``.NAME.*`` is all that is
    left.

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
_PAUSES = (0.2, 1.0, 5.0)  # seconds before another try


def persistently(action: Callable[[], T]) -> T:
    """Call something that writes a file as a whole, again and again if the trouble is one that passes.

    Mounted drives lose files for a moment; a full disk, or one that must not be written, stays as it is.
    Which it is stands in the message: writers outside Python tell no number.

    Raises:
        FileError: the last try failed too, or the trouble is not of that kind.
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
    """The value for JSON, which has no nan and no infinity: None stands for them."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
