# SPDX-License-Identifier: Apache-2.0
"""Use of processor, memory and disk by the process, and of an NVIDIA GPU if there is one."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import psutil

from pydarknet.errors import BackendError, MissingExtra
from pydarknet.system import extras

EVERY = 1.0  # seconds between measurements; the share of a shorter time is noise

COLUMNS = ("cpu_percent", "rss_mb", "read_mb", "written_mb", "gpu_percent", "gpu_mb", "gpu_celsius")


class Resources:
    """Meter of this process; cheap enough to be read in every iteration.

    Args:
        gpu: number of the GPU to measure, as CUDA counts.
    """

    def __init__(self, gpu: int = 0) -> None:
        self._process = psutil.Process()
        self._gpu = _gpu(gpu)
        self._start = self._disk()
        self._cpu, self._time = self._seconds(), time.monotonic()
        self._values = self._measure(0.0)

    def sample(self) -> dict[str, float | None]:
        """Values of the columns of a results table.

        Returns:
            ``cpu_percent`` since the last measurement, 100 for each core in use; ``rss_mb``; ``read_mb`` and
            ``written_mb`` since the beginning of the session, without what the system's disk cache served;
            ``gpu_percent``, ``gpu_mb`` and ``gpu_celsius``, None without a GPU.
        """
        now = time.monotonic()
        if now - self._time >= EVERY:
            cpu = self._seconds()
            share = 100 * (cpu - self._cpu) / (now - self._time)
            self._cpu, self._time = cpu, now
            self._values = self._measure(share)
        return self._values

    def _measure(self, cpu: float) -> dict[str, float | None]:
        disk, gpu = self._disk(), self._gpu.sample() if self._gpu else (None, None, None)
        moved = [
            None if a is None or b is None else (b - a) / 2**20
            for a, b in zip(self._start, disk, strict=True)
        ]
        values = (cpu, self._process.memory_info().rss / 2**20, *moved, *gpu)
        return dict(zip(COLUMNS, values, strict=True))

    def _seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def _disk(self) -> tuple[int | None, int | None]:
        """Bytes read and written; None if the system does not report them."""
        with contextlib.suppress(psutil.Error, AttributeError, OSError):
            counters = self._process.io_counters()
            return counters.read_bytes, counters.write_bytes
        return None, None


def _gpu(number: int) -> Any:
    """Meter of a GPU; None without a library, a driver or a device."""
    with contextlib.suppress(MissingExtra, BackendError):
        return extras.load("pydarknet.gpu", "nvml")(number)
    return None
