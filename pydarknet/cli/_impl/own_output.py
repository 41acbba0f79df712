# SPDX-License-Identifier: Apache-2.0
"""Standard output of a command: its results alone, whatever libraries print meanwhile."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def own_output() -> Iterator[None]:
    """Let this thread alone print to standard output; what other threads print goes to standard error.

    Ray, for example, prints notices about lost workers from a thread at any time, also into JSON.
    """
    with contextlib.redirect_stdout(_OfThread(sys.stdout)):
        yield


class _OfThread:
    """Standard output for the thread that makes it, standard error for others."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._owner = stream, threading.get_ident()

    def __getattr__(self, name: str) -> Any:
        mine = threading.get_ident() == self._owner
        return getattr(self._stream if mine else sys.stderr, name)
