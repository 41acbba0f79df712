# SPDX-License-Identifier: Apache-2.0
"""The way of frames from one thread to the next: bounded, so that memory is, and never in the way of an end.

Unlike ``queue.Queue`` it knows its end (and the error that was the reason), can be closed from either side
while the other waits, and can keep only the newest item of each producer.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

# On Windows a wait without a limit does not hear Ctrl-C.
_SLICE = 0.2


class End(Exception):
    """The producer is done, or somebody closed the channel."""


class Channel(Generic[T]):
    """A bounded queue between threads.

    Args:
        size: items that wait at most.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[tuple[object, T]] = deque()
        self._changed = threading.Condition()
        self._finished = False
        self._error: BaseException | None = None

    def put(self, item: T) -> None:
        """Add an item, when there is room.

        Raises:
            End: the channel was closed.
        """
        with self._changed:
            while len(self._items) >= self._size and not self._finished:
                self._changed.wait(_SLICE)
            self._append(None, item)

    def offer(self, producer: object, item: T) -> int:
        """Add an item at once, in place of what waits from the same producer.

        Returns:
            How many items it replaced, 0 or 1.

        Raises:
            End: the channel was closed.
        """
        with self._changed:
            waiting = len(self._items)
            self._items = deque(entry for entry in self._items if entry[0] is not producer)
            self._append(producer, item)
            return waiting + 1 - len(self._items)

    def _append(self, producer: object, item: T) -> None:
        if self._finished:
            raise End
        self._items.append((producer, item))
        self._changed.notify_all()

    def take(self, count: int = 1, *, fill: bool = False, timeout: float | None = None) -> list[T]:
        """The next items, one at least.

        Args:
            count: how many at most.
            fill: wait for so many, unless the producer is done.
            timeout: seconds to wait at most.

        Raises:
            End: none is left and none will come; the producer's error instead, if it had one.
            TimeoutError: none came in time.
        """
        limit = None if timeout is None else time.monotonic() + timeout
        enough = min(count, self._size) if fill else 1
        with self._changed:
            while len(self._items) < enough and not self._finished:
                if limit is not None and time.monotonic() > limit:
                    raise TimeoutError
                self._changed.wait(_SLICE)
            if not self._items:
                raise self._error or End
            taken = [self._items.popleft()[1] for _ in range(min(count, len(self._items)))]
            self._changed.notify_all()
            return taken

    def finish(self, error: BaseException | None = None) -> None:
        """The producer is done: what waits can still be taken, then comes the error, or the end."""
        with self._changed:
            if not self._finished:
                self._finished, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        """End both sides now; what waits is dropped."""
        with self._changed:
            self._items.clear()
            self._finished, self._error = True, None
            self._changed.notify_all()
