# SPDX-License-Identifier: Apache-2.0
"""Limits of the server: what a request may take, and how much all requests together."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

HEAD_BYTES = 64 << 10  # of a request line with its headers
HEAD_SECONDS = 10.0  # until they are complete
BODY_SECONDS, BODY_RATE = 10.0, 16 << 10  # a body may take these seconds, and one more per BODY_RATE bytes
IDLE_SECONDS = 20.0  # of a connection between two requests
SEND_SECONDS, SEND_RATE = 20.0, 16 << 10  # a client may take these to read answers that fill the buffer
PIPELINED = 8  # requests that a client may send before it has the answer to the first
CONNECTIONS = 512
PARTS = 32  # of a multipart body
LOWEST_THRESH = 0.01  # that a request may ask for: fewer candidates, less work

# Without a change of thread: images that an idle network decodes, objects in answers of the event loop.
SMALL_BYTES, SMALL_PIXELS, SHORT = 1 << 20, 2_000_000, 100


@dataclass(frozen=True)
class Limits:
    """Limits that users choose.

    Attributes:
        body: bytes of a request body.
        pixels: of an image.
        waiting: images that may wait for the network, those that are decoded included.
        seconds: from the complete request to its answer.
        memory: bytes of all bodies and decoded images at a time.
    """

    body: int = 16 << 20
    pixels: int = 50_000_000
    waiting: int = 64
    seconds: float = 30.0
    memory: int = 1 << 30


class Refused(Exception):
    """A request that is answered with an error.

    Args:
        status: HTTP status code.
        message: for the client.
        retry: seconds after which the client may try again; None if that would not help.
        close: end the connection: the rest of the request is not read.
    """

    def __init__(self, status: int, message: str, *, retry: int | None = None, close: bool = False) -> None:
        super().__init__(message)
        self.status, self.retry, self.close = status, retry, close

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer."""
        retry = {} if self.retry is None else {"retry-after": str(self.retry)}
        return retry | ({"connection": "close"} if self.close else {})


class Budget:
    """Bytes that all requests share; may be used from any thread.

    Args:
        total: of them.
    """

    def __init__(self, total: int) -> None:
        self._free, self._lock = total, threading.Lock()

    def take(self, count: int) -> None:
        """Take bytes.

        Raises:
            Refused: fewer are free.
        """
        with self._lock:
            if count > self._free:
                raise Refused(503, "too many large requests at a time; try again later", retry=1)
            self._free -= count

    def give(self, count: int) -> None:
        """Give bytes back."""
        with self._lock:
            self._free += count

    @contextlib.contextmanager
    def share(self) -> Iterator[Share]:
        """A request's bytes, given back at its end."""
        share = Share(self)
        try:
            yield share
        finally:
            share.end()


class Share:
    """Bytes that one request has of a :class:`Budget`; a thread that works for it may outlive it."""

    def __init__(self, budget: Budget) -> None:
        self._budget, self._taken, self._ended = budget, 0, False
        self._lock = threading.Lock()

    def take(self, count: int) -> None:
        """Take bytes.

        Raises:
            Refused: fewer are free, or the request has ended.
        """
        with self._lock:
            if self._ended:
                raise Refused(503, "the request has ended")
            self._budget.take(count)
            self._taken += count

    def end(self) -> None:
        """Give all back."""
        with self._lock:
            self._budget.give(self._taken)
            self._ended, self._taken = True, 0
