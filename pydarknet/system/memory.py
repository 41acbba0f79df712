# SPDX-License-Identifier: Apache-2.0
"""Memory of the process: held now, at its peak, and still available. All values are in bytes."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

#: Limit, use, and the part of the use that can be reclaimed, in control groups of version 2 and 1.
_CONTROL_GROUPS = (
    ("memory.max", "memory.current", ("memory.stat", "inactive_file")),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        ("memory/memory.stat", "total_inactive_file"),
    ),
)


def resident_memory() -> int | None:
    """Memory that the process holds now; None if the system does not report it."""
    return _status_field("VmRSS")


def reset_peak_memory() -> None:
    """Let :func:`peak_memory` count from now (Linux; elsewhere it counts from the start of the process)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int | None:
    """Most memory that the process held; None if the system does not report it."""
    peak = _status_field("VmHWM")
    if peak is not None:
        return peak
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def available_memory(root: Path = Path("/")) -> int | None:
    """Memory that the process can still take without swapping; None if the system does not report it.

    In a container with a limit, the rest of that limit counts: beyond it processes are killed without a
    message.

    Args:
        root: folder that contains ``proc`` and ``sys``.
    """
    free: list[int] = []
    with contextlib.suppress(OSError):
        lines = (root / "proc/meminfo").read_text("ascii").splitlines()
        free += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    for limit, used, cache in _CONTROL_GROUPS:
        with contextlib.suppress(OSError, ValueError):  # another version, or "max"
            folder = root / "sys/fs/cgroup"
            table = dict(line.split() for line in (folder / cache[0]).read_text("ascii").splitlines())
            left = int((folder / limit).read_text()) - int((folder / used).read_text())
            free.append(left + int(table.get(cache[1], 0)))
    return max(min(free), 0) if free else None


def _status_field(name: str) -> int | None:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
    return None
