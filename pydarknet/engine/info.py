# SPDX-License-Identifier: Apache-2.0
"""What pydarknet runs on: machine, engine and libraries; and how much memory the process takes."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

_LIBRARIES = ("numpy", "cffi", "opencv-python-headless", "opencv-python", "onnx", "onnxruntime")


def libdarknet_path() -> Path:
    """Path of pydarknet's libdarknet, for programs that load it themselves; headers are in ``include``."""
    return Path(__file__).parent / "libdarknet.so"


def info() -> dict[str, Any]:
    """The machine and this installation as plain data, ready for JSON.

    Returns:
        ``version``, ``python``, ``platform``; ``cpu`` (model), ``simd`` (instruction sets), ``threads``
        (usable), ``ram``, ``disk`` (GB, of the working folder: total and free); ``gpu`` (names); ``opencv``
        (version or None); ``engine`` (version, compiler, onednn, openmp, backends); ``libraries`` (versions).
    """
    from pydarknet import __version__
    from pydarknet.engine import _core

    engine = _core.build_info()
    disk = shutil.disk_usage(".")
    return {
        "version": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu_model(),
        "simd": engine.pop("cpu_features"),
        "threads": usable_cores(),
        "ram": {"total": _gigabytes(_ram())},
        "disk": {"total": _gigabytes(disk.total), "free": _gigabytes(disk.free)},
        "gpu": _gpus(),
        "opencv": _opencv(),
        "engine": engine,
        "libraries": {name: version for name in _LIBRARIES if (version := _version(name))},
    }


def resident_memory() -> int | None:
    """Bytes of memory that the process holds now; None where that cannot be told."""
    return _status_field("VmRSS")


def reset_peak_memory() -> None:
    """Let :func:`peak_memory` count from now (Linux; elsewhere it counts from the start of the process)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int | None:
    """The most bytes that the process held; None where that cannot be told."""
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


def usable_cores() -> int:
    """Cores that the process may use; containers and taskset make them fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _gigabytes(count: int | None) -> float | None:
    return None if count is None else round(count / 1e9, 1)


def _ram() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpus() -> list[str]:
    """Names of NVIDIA GPUs; no other kind matters to Darknet."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    command = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        run = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return [line.strip() for line in run.stdout.splitlines() if line.strip()]
    return []


def _opencv() -> str | None:
    try:
        import cv2
    except ImportError:
        return None
    return str(cv2.__version__)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
