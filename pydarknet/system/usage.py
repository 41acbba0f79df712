# SPDX-License-Identifier: Apache-2.0
"""What the process takes from the machine: processor, memory, disk, and an NVIDIA GPU where there is one."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import psutil

EVERY = 1.0  # seconds between measurements; the share of a shorter time says little

COLUMNS = ("cpu_percent", "rss_mb", "read_mb", "written_mb", "gpu_percent", "gpu_mb")


class Resources:
    """Measures the own process; cheap, to be asked in every iteration."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._gpu = _Gpu()
        self._start = self._disk()
        self._cpu, self._time = self._seconds(), time.monotonic()
        self._values = self._measure(0.0)

    def sample(self) -> dict[str, float | None]:
        """The columns of a table of results.

        Returns:
            ``cpu_percent`` since the last measurement, 100 for each core in use; ``rss_mb``; ``read_mb`` and
            ``written_mb`` since the beginning of the session, what the disk cache of the system served not
            counted; ``gpu_percent`` and ``gpu_mb``, None without a GPU.
        """
        now = time.monotonic()
        if now - self._time >= EVERY:
            cpu = self._seconds()
            share = 100 * (cpu - self._cpu) / (now - self._time)
            self._cpu, self._time = cpu, now
            self._values = self._measure(share)
        return self._values

    def _measure(self, cpu: float) -> dict[str, float | None]:
        disk, gpu = self._disk(), self._gpu.sample()
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
        """Bytes read and written; None where the system does not tell."""
        with contextlib.suppress(psutil.Error, AttributeError, OSError):
            counters = self._process.io_counters()
            return counters.read_bytes, counters.write_bytes
        return None, None


class _Gpu:
    """The first NVIDIA GPU, through nvidia-ml-py if that is installed."""

    def __init__(self) -> None:
        self._library: Any = None
        with contextlib.suppress(Exception):  # no library, no driver, no device
            import pynvml

            pynvml.nvmlInit()
            self._device = pynvml.nvmlDeviceGetHandleByIndex(0)
            self._library = pynvml

    def sample(self) -> tuple[float | None, float | None]:
        """Per cent in use, and MB taken."""
        if self._library is not None:
            with contextlib.suppress(self._library.NVMLError):
                rates = self._library.nvmlDeviceGetUtilizationRates(self._device)
                memory = self._library.nvmlDeviceGetMemoryInfo(self._device)
                return float(rates.gpu), memory.used / 2**20
        return None, None
