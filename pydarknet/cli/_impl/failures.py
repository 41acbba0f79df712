# SPDX-License-Identifier: Apache-2.0
"""Exit codes and messages of failed commands: a line for what users can change, a report for a defect."""

from __future__ import annotations

import codecs
import contextlib
import errno
import logging
import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any, TextIO

import click

from pydarknet import __version__
from pydarknet.errors import DarknetError
from pydarknet.system.text import ESCAPE, encode, printable

INTERRUPTED, DEFECT = 130, 70

#: Errors of stdout if they name no file; those of files that are written become ``FileError``.
_WRITE_ERRORS = {errno.ENOSPC, errno.EPIPE, errno.EIO, errno.EDQUOT, errno.EFBIG}


def exit_code(command: Callable[[], Any]) -> int:
    """Run a command; the exit code is its result if that is a number, otherwise that of its failure.

    Expected failures, from wrong usage to a full disk, are printed as a message. For any other exception the
    traceback is written into a file that the message names.
    """
    _prepare_streams()
    os.environ.setdefault("OPENCV_LOG_LEVEL", "FATAL")  # it would repeat what commands say, in its own words
    try:
        code = command()
        sys.stdout.flush()
    except (click.exceptions.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except click.ClickException as error:
        with _to_stderr():
            error.show()
        return error.exit_code
    except Exception as error:
        return _report(error)
    return code if isinstance(code, int) else 0


def be_verbose() -> None:
    """Print messages of the library from now on, and tracebacks of failures."""
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    logging.getLogger("pydarknet").setLevel(logging.DEBUG)


def _prepare_streams() -> None:
    """Let stdout take any text: characters that its encoding lacks are escaped."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller, as by >&-
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    if hasattr(sys.stdout, "reconfigure"):
        # click writes UTF-8 where a locale is missing ("C"); so does everything else.
        is_ascii = codecs.lookup(sys.stdout.encoding).name == "ascii"
        sys.stdout.reconfigure(encoding="utf-8" if is_ascii else None, errors=ESCAPE)


def _report(error: Exception) -> int:
    """Print what failed; returns the exit code."""
    stdout_failed = isinstance(error, OSError) and error.filename is None and error.errno in _WRITE_ERRORS
    if stdout_failed:
        drop(sys.stdout)
    if stdout_failed and isinstance(error, BrokenPipeError):
        return 1  # the reader has read enough, like head
    if logging.getLogger("pydarknet").isEnabledFor(logging.DEBUG):
        _say("".join(traceback.format_exception(error)))
    text = expected(error)
    where = "stdout: " if stdout_failed else ""
    _say(f"error: {where}{text or _defect(error)}")
    return DEFECT if text is None else 1


def expected(error: BaseException) -> str | None:
    """The message of a failure that is not a defect; None for a defect."""
    if type(error).__module__ == "cv2":  # not imported for this
        return f"OpenCV: {getattr(error, 'err', None) or error}"
    if isinstance(error, ImportError) and (error.name or "").startswith("pydarknet"):
        return None
    return next((text(error) for kind, text in _EXPECTED if isinstance(error, kind)), None)


def _of_system(error: Any) -> str:
    reason = error.strerror or str(error)
    return f"{os.fsdecode(error.filename)}: {reason}" if isinstance(error.filename, (str, bytes)) else reason


def _of_missing_package(error: ModuleNotFoundError) -> str:
    module = (error.name or "").partition(".")[0]
    package = _PACKAGES.get(module, module)
    return f"the Python package {package} is not installed; run: pip install {package}"


#: Module -> package that contains it, where their names differ.
_PACKAGES = {"cv2": "opencv-python-headless", "yaml": "PyYAML"}

_EXPECTED: tuple[tuple[type[BaseException], Callable[[Any], str]], ...] = (
    (DarknetError, str),
    (OSError, _of_system),
    (UnicodeError, lambda error: f"text has a character that cannot be used here: {error}"),
    (BrokenExecutor, lambda _: "a worker process was ended, maybe for lack of memory; use fewer --jobs"),
    (
        MemoryError,
        lambda _: "out of memory; use a smaller size, batch or file, or a machine with more memory",
    ),
    (RecursionError, lambda _: "a file is nested too deeply to be read"),
    (OverflowError, lambda error: f"a number in the input is too large: {error}"),
    (ModuleNotFoundError, _of_missing_package),
    (ImportError, lambda error: f"a library cannot be loaded: {str(error).strip().splitlines()[-1]}"),
)


def _defect(error: Exception) -> str:
    """Write the traceback into a file; returns the message."""
    details = "".join(traceback.format_exception(error))
    head = f"pydarknet {__version__}, Python {platform.python_version()}, {platform.platform()}\n{sys.argv}\n"
    what = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    try:
        with tempfile.NamedTemporaryFile("wb", prefix="pydarknet-", suffix=".txt", delete=False) as file:
            file.write(encode(head + details))
    except OSError:
        return f"{what}: this is a defect of pydarknet; please report it with these lines:\n{head}{details}"
    return f"{what}: this is a defect of pydarknet; please report it with the file {file.name}"


def _say(text: str) -> None:
    with _to_stderr():
        click.echo(printable(text), err=True)


@contextlib.contextmanager
def _to_stderr() -> Iterator[None]:
    """Write to stderr, unless it is closed or full: then only the exit code remains."""
    try:
        yield
        sys.stderr.flush()
    except OSError:
        drop(sys.stderr)


def drop(stream: TextIO) -> None:
    """Drop what a stream still holds: Python would try to write it at the end, and complain."""
    with contextlib.suppress(OSError, ValueError), Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
