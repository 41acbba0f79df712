# SPDX-License-Identifier: Apache-2.0
"""Types of the callbacks through which long work reports: notices as text, progress as counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")

#: Receives a notice for the user, one sentence without a line end; ``logging`` methods fit.
Notify = Callable[[str], None]

#: Receives (stage, done, total): a noun or file name for the work, items done, and items in all or None if
#: unknown. Calls of one stage have rising ``done``.
Progress = Callable[[str, int, "int | None"], None]


def no_progress(stage: str, done: int, total: int | None) -> None:
    """Ignore progress; the default of functions that report it."""


def counted(items: Iterable[T], progress: Progress, stage: str, total: int | None = None) -> Iterator[T]:
    """Iterate over items and report after each that it is done.

    Args:
        items: to iterate over.
        progress: receives the counts.
        stage: noun or file name for the work.
        total: number of items; by default ``len(items)`` if it has one.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    for done, item in enumerate(items, 1):
        yield item
        progress(stage, done, total)
