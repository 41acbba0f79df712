# SPDX-License-Identifier: Apache-2.0
"""Facts about the machine: processor, cores, memory, disk."""

from __future__ import annotations

import contextlib
import os
import platform
from pathlib import Path

from pydarknet.errors import ArgumentError


def usable_cores() -> int:
    """Number of cores that the process may use; containers and taskset can lower it."""
    return len(affinity())


def affinity() -> frozenset[int]:
    """Numbers of the cores that the process may use."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def bounded_threads(count: int, what: str = "threads") -> int:
    """Return ``count``, if the system can create this number of threads; the engine has the same bound.

    Args:
        count: number of threads, at least 1.
        what: they are for, as the name of the setting.

    Raises:
        ArgumentError: there are more than 64 and more than four for each core.
    """
    cores = usable_cores()
    most = max(64, 4 * cores)
    if not 1 <= count <= most:
        raise ArgumentError(f"found {what} {count}, expected 1 to {most}; this process may use {cores} cores")
    return count


def total_memory() -> int | None:
    """Bytes of RAM of the machine; None if the system does not report it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def cpu_model() -> str:
    """Name of the processor, or of its architecture if the system does not report one."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
