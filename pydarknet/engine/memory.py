# SPDX-License-Identifier: Apache-2.0
"""Memory that is still free, as the engine's backends report it."""

from __future__ import annotations

from pydarknet.engine._core import memory_need
from pydarknet.engine.devices import is_gpu
from pydarknet.engine.handle import EngineOptions
from pydarknet.system.launcher import launched_here

SMALLEST = "[net]\nwidth=1\nheight=1\nchannels=1\n[empty]\n"


def free_memory(backend: str = "auto") -> int | None:
    """Bytes that a backend can still take of its memory; None if the system does not report it.

    Workers that a launcher started on this machine have equal shares of main memory. Each counts
    all that is free of a GPU's.

    Of the main memory these are what the process can take without swapping. In a container with a limit, the
    rest of that limit counts: beyond it processes are killed without a message.

    Args:
        backend: its name, or ``auto``.

    Raises:
        BackendError: there is no such backend here.
    """
    free = memory_need(SMALLEST, "memory", EngineOptions(backend)).free
    return free if free is None or is_gpu(backend) else free // launched_here()


def available_memory() -> int | None:
    """Bytes of main memory that the process can still take; None if the system does not report it."""
    return free_memory("ref")
