# SPDX-License-Identifier: Apache-2.0
"""Threads of the engine's OpenMP runtime: how they wait, and what becomes of them after ``fork()``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

#: Variables by which a user decides how waiting threads spend their time.
_CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")

#: How they wait otherwise. GNU's runtime checks N times, 0.02 to 0.2 ms by processor, and then sleeps;
#: LLVM's sleeps at once, as its shortest time is 1 ms.
_BRIEFLY = {"GOMP_SPINCOUNT": "3000", "KMP_BLOCKTIME": "0"}


@contextlib.contextmanager
def briefly_spinning_threads() -> Iterator[None]:
    """Let waiting threads of a runtime that is loaded inside sleep soon, unless the environment decides.

    A runtime reads the environment once, when it is loaded. By default its threads spin for long while they
    wait, on cores that decode the next images or belong to other processes: on two busy cores, training steps
    took six times as long. Threads that sleep at once take up to 0.07 ms to wake, in each layer of a network
    (docs/performance.md). The variables are removed again, so that child processes do not inherit them.
    """
    if any(name in os.environ for name in _CHOICES):
        yield
        return
    os.environ.update(_BRIEFLY)
    try:
        yield
    finally:
        for name in _BRIEFLY:
            del os.environ[name]


# Workers belong to the thread that started them and do not survive fork(): a parallel region on the thread
# that forked would wait for them forever. A new thread makes its own, so a child computes on one.

_child_worker: ThreadPoolExecutor | None = None


def _enter_child() -> None:
    global _child_worker  # noqa: PLW0603  the process, not an object, was forked
    _child_worker = ThreadPoolExecutor(1, thread_name_prefix="pydarknet")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_enter_child)


def computing_thread(call: Callable[[], None]) -> None:
    """Make a call that uses OpenMP, on a thread where that is possible."""
    if _child_worker is None:
        call()
    else:
        _child_worker.submit(call).result()
