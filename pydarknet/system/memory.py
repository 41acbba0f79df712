# SPDX-License-Identifier: Apache-2.0
"""Memory of the process, held now and at its peak, in bytes. What is still free, a backend reports."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path


def gib(count: float) -> str:
    """Bytes as text: ``"0.52 GiB"``, ``"139 GiB"``."""
    size = count / 2**30
    return f"{size:.2g} GiB" if size < 10 else f"{size:.0f} GiB"


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


def _status_field(name: str) -> int | None:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
    return None
