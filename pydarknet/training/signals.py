# SPDX-License-Identifier: Apache-2.0
"""SIGTERM and Ctrl-C during a training."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Protocol


class Stoppable(Protocol):
    """A loop that ends once its ``stop_reason`` is set."""

    stop_reason: str


@contextlib.contextmanager
def stopped_by_signals(loop: Stoppable) -> Iterator[None]:
    """End the loop after its iteration on SIGTERM or Ctrl-C; a second Ctrl-C ends it at once.

    Raises:
        KeyboardInterrupt: at the second Ctrl-C.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        if loop.stop_reason == "signal" and number == signal.SIGINT:
            raise KeyboardInterrupt
        loop.stop_reason = "signal"

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
