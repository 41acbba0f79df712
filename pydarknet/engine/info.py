# SPDX-License-Identifier: Apache-2.0
"""Description of the machine, the engine and the libraries that pydarknet runs on."""

from __future__ import annotations

import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

from pydarknet.engine.devices import is_gpu
from pydarknet.system import nvidia
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
        (usable), ``ram``, ``disk`` (GB, of the working folder: total and free); ``gpu`` (names); ``cuda``
        (see :func:`cuda`); ``opencv`` (version or None); ``engine`` (version, compiler, onednn, openmp,
        backends); ``libraries`` (versions).
    """
    from pydarknet import __version__
    from pydarknet.engine import _core

    engine = _core.build_info()
    gpus = cuda(engine.pop("cuda"))
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
        "cuda": gpus,
        "opencv": _opencv(),
        "engine": engine,
        "libraries": {name: version for name in _LIBRARIES if (version := _version(name))},
    }


def cuda(found: dict[str, Any] | None) -> dict[str, Any]:
    """Facts about the cuda backend on this machine.

    Args:
        found: the engine's, see ``dn_build_info`` in ``darknet.h``; None if the build lacks the backend.

    Returns:
        ``driver``, ``cudnn``, ``nvrtc``, ``nccl``: versions, or None if they were not found; ``embedded``:
        compute capabilities, 75 for 7.5, whose kernels this build holds as machine code; ``cache``: what is
        kept on disk (``folder``, ``files``, ``bytes``, ``damaged`` files, ``why_not``: why nothing is);
        ``packages``: versions of NVIDIA's Python packages; ``devices``: the GPUs (``index``, ``name``,
        ``capability``, ``memory`` in bytes, ``uuid``, ``why_not``); ``why_not``: the reason why the first
        cannot be used, or ""; ``install``: the packages and programs that are missing.
    """
    if found is None:
        return {"why_not": "this build lacks the cuda backend (DN_WITH_CUDA)", "devices": []}
    missing = []
    if not found["driver"]:
        missing.append("NVIDIA's driver for CUDA 12.0 or newer (https://www.nvidia.com/drivers)")
    if not found["cudnn"] or not (found["nvrtc"] or found["embedded"]):
        missing.append("pip install 'pydarknet[cuda]'")
    packages = {name: version for name in nvidia.PACKAGES if (version := _version(name))}
    return {**found, "packages": packages, "install": missing}


def engine_libraries(backend: str) -> dict[str, str]:
    """Versions of the libraries that a backend computes with, for the records of results.

    Args:
        backend: its name, also with a device's number.
    """
    from pydarknet.engine import _core

    build = _core.build_info()
    if is_gpu(backend):
        found = build["cuda"]
        names = ("driver", "cudnn", "nvrtc", "nccl")
        return {name: str(found[name]) for name in names if found.get(name)}
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
