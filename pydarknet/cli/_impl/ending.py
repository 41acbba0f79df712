# SPDX-License-Identifier: Apache-2.0
"""End of a command that may run in several workers: output and errors appear once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import click

from pydarknet.system.launcher import FOLDER, launched, rank


class Ending:
    """End of a command in a process that may be a worker: its exit code and its last words.

    Attributes:
        code: exit code.
    """

    def __init__(self) -> None:
        self.code, self._error = 1, ""

    def end(self, code: int, text: str = "") -> None:
        """Set the exit code; worker 0 prints the text."""
        self.code = code
        if text and not is_follower():
            click.echo(text)

    def fail(self, code: int, error: str) -> None:
        """Set the exit code; the error is printed once, however many workers have it."""
        self.code, self._error = code, error

    @contextlib.contextmanager
    def reported(self) -> Iterator[None]:
        """Give :func:`launch` the process id at the start, code and error at the end.

        The output of a worker may get lost when another one has died, so the launcher prints the error.
        """
        folder = os.environ.get(FOLDER)
        if folder:
            Path(folder, f"{rank()}.pid").write_text(str(os.getpid()))
        try:
            yield
        finally:
            if folder:
                Path(folder, f"{rank()}.exit").write_bytes(
                    f"{self.code}\n{self._error}".encode("utf-8", "surrogateescape")
                )
            elif self._error and not is_follower():
                click.echo(self._error, err=True)


def is_follower() -> bool:
    """Whether this process is a worker other than worker 0."""
    return launched() > 1 and rank() > 0
