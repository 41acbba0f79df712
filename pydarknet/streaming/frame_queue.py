# SPDX-License-Identifier: Apache-2.0
"""Bounded queue of frames between two threads; closing either side releases the other.

Unlike ``queue.Queue`` it has an end (with the error that caused it, if any), can be closed from either side
while the other waits, and can keep only the newest item of each producer.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

# On Windows Ctrl-C does not interrupt a wait without a time limit.
_SLICE = 0.2


class EndOfQueue(Exception):
    """The producer is done, or the queue was closed."""


class FrameQueue(Generic[T]):
    """A bounded queue between threads.

    Args:
        size: largest number of waiting items.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[tuple[object, T]] = deque()
        self._changed = threading.Condition()
        self._finished = False
        self._error: BaseException | None = None

    def put(self, item: T) -> None:
        """Add an item; wait while the queue is full.

        Raises:
            EndOfQueue: the queue was closed.
        """
        with self._changed:
            while len(self._items) >= self._size and not self._finished:
                self._changed.wait(_SLICE)
            self._append(None, item)

    def offer(self, producer: object, item: T) -> int:
        """Add an item without waiting, in place of a waiting one of the same producer.

        Returns:
            Number of items that it replaced, 0 or 1.

        Raises:
            EndOfQueue: the queue was closed.
        """
        with self._changed:
            waiting = len(self._items)
            self._items = deque(entry for entry in self._items if entry[0] is not producer)
            self._append(producer, item)
            return waiting + 1 - len(self._items)

    def _append(self, producer: object, item: T) -> None:
        if self._finished:
            raise EndOfQueue
        self._items.append((producer, item))
        self._changed.notify_all()

    def take(self, count: int = 1, *, fill: bool = False, timeout: float | None = None) -> list[T]:
        """Remove the next items, at least one.

        Args:
            count: largest number of items.
            fill: wait for this number, unless the producer is done.
            timeout: longest wait in seconds.

        Raises:
            EndOfQueue: the queue is empty and finished; the producer's error instead, if it had one.
            TimeoutError: no item came in time.
        """
        limit = None if timeout is None else time.monotonic() + timeout
        enough = min(count, self._size) if fill else 1
        with self._changed:
            while len(self._items) < enough and not self._finished:
                if limit is not None and time.monotonic() > limit:
                    raise TimeoutError
                self._changed.wait(_SLICE)
            if not self._items:
                raise self._error or EndOfQueue
            taken = [self._items.popleft()[1] for _ in range(min(count, len(self._items)))]
            self._changed.notify_all()
            return taken

    def finish(self, error: BaseException | None = None) -> None:
        """Mark the producer as done: waiting items can still be taken, then the error or the end follows."""
        with self._changed:
            if not self._finished:
                self._finished, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        """End both sides at once and drop waiting items."""
        with self._changed:
            self._items.clear()
            self._finished, self._error = True, None
            self._changed.notify_all()
