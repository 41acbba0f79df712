# SPDX-License-Identifier: Apache-2.0
"""Description of the machine, the engine and the libraries that pydarknet runs on."""

from __future__ import annotations

import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

from pydarknet.system.gpu import gpu_names
from pydarknet.system.machine import cpu_model, total_memory, usable_cores

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
        "cpu": cpu_model(),
        "simd": engine.pop("cpu_features"),
        "threads": usable_cores(),
        "ram": {"total": _gigabytes(total_memory())},
        "disk": {"total": _gigabytes(disk.total), "free": _gigabytes(disk.free)},
        "gpu": gpu_names(),
        "opencv": _opencv(),
        "engine": engine,
        "libraries": {name: version for name in _LIBRARIES if (version := _version(name))},
    }


def engine_libraries(backend: str) -> dict[str, str]:
    """Versions of the libraries that a backend computes with, for the records of results.

    Args:
        backend: its name, also with a device's number.
    """
    from pydarknet.engine import _core

    build = _core.build_info()
    if backend.startswith("cuda"):
        found = build.get("cuda", {})
        return {name: str(found[name]) for name in ("driver", "cudnn", "nvrtc") if found.get(name)}
    return {"onednn": build["onednn"]} if backend == "cpu" else {}


def _gigabytes(count: int | None) -> float | None:
    return None if count is None else round(count / 1e9, 1)


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
