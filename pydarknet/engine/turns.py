# SPDX-License-Identifier: Apache-2.0
"""Turns of threads at a network: a handle serves one thread at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pydarknet.engine._core import EngineHandle
from pydarknet.engine.handle import Handle
from pydarknet.errors import ArgumentError


class Turns:
    """Lends a handle to one thread at a time, in a forked process too."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._lock, self._process = threading.Lock(), os.getpid()

    @property
    def closed(self) -> bool:
        """Whether the handle is closed."""
        return self._handle.closed

    @contextmanager
    def handle(self) -> Iterator[Handle]:
        """Lend the handle."""
        if self._process != os.getpid():  # forked: the thread that held the lock does not exist here
            self._lock, self._process = threading.Lock(), os.getpid()
        with self._lock:
            yield self._handle

    @contextmanager
    def engine(self) -> Iterator[EngineHandle]:
        """Lend the handle for what only pydarknet's engine does.

        Raises:
            ArgumentError: the network is one of a foreign library.
        """
        with self.handle() as handle:
            if not isinstance(handle, EngineHandle):
                raise ArgumentError(
                    f"{handle.info().backend}: a network of a foreign library only detects; "
                    "for anything else leave out library= and PYDARKNET_LIBRARY"
                )
            yield handle
