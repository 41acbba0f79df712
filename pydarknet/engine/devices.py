# SPDX-License-Identifier: Apache-2.0
"""Devices as users spell them, and the backend of the engine that computes on each.

A device is hardware, a backend is the code that computes on it. ``device`` chooses where to compute;
``backend`` chooses the code, for comparisons and tests, and its name implies the device. Both may be given if
they agree.
"""

from __future__ import annotations

import re

from pydarknet.errors import ArgumentError

ON_CPU = ("cpu", "ref")
"""Backends that compute on the processor, the faster first."""

_EXPECTED = "expected auto, cpu, cuda or cuda:N with the number of the GPU"
_SEVERAL = (
    "a network computes on one device; give one, and start a process for each to use several "
    "(to train one network on several GPUs: pydarknet train --devices 0,1)"
)


def device_name(device: str | int) -> str:
    """A device in its usual spelling: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; a number N means ``cuda:N``.

    Raises:
        ArgumentError: it is not a device, or several.
    """
    text = f"cuda:{device}" if isinstance(device, int) else device.strip().lower()
    if "," in text:
        raise ArgumentError(f"found device {device!r}: {_SEVERAL}; available here: {', '.join(_devices())}")
    if text.isdecimal():
        text = f"cuda:{text}"
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,4})?", text):
        raise ArgumentError(f"found device {device!r}, {_EXPECTED}")
    return text


def require_agreement(backend: str, device: str | int) -> None:
    """Check that a backend computes on a device.

    Args:
        backend: ``auto``, or a name for the engine.
        device: as for :func:`device_name`.

    Raises:
        ArgumentError: it does not, or there is no such device.
    """
    where = device_name(device)
    if "auto" in (where, backend):
        return
    for part in backend.removeprefix("check:").split(","):
        kind, _, number = part.partition(":")
        own = "cpu" if kind in ON_CPU else kind
        wanted, _, wanted_number = where.partition(":")
        if own != wanted or (number and wanted_number and number != wanted_number):
            raise ArgumentError(
                f"backend {backend!r} does not compute on device {where!r}; a backend implies its device, so "
                "give one of the two"
            )


def backend_on(backend: str, device: str | int) -> str:
    """The name by which the engine knows a backend on a device.

    Args:
        backend: ``auto``, or a name for the engine.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N``, or N.

    Raises:
        ArgumentError: there is no such device, or the backend does not compute on it.
    """
    require_agreement(backend, device)
    where = device_name(device)
    if where == "auto":
        return backend
    if backend == "auto":
        return _first_on_cpu() if where == "cpu" else where
    return where if backend == "cuda" else backend


def is_gpu(backend: str) -> bool:
    """Whether a backend, by its name for the engine, computes in the memory of a GPU."""
    return backend.partition(":")[0] == "cuda"


def gpu_number(backend: str) -> int:
    """Number of the GPU that a backend's name means; 0 if it has none, as for ``cuda`` and ``cpu``."""
    kind, _, number = backend.partition(":")
    return int(number) if kind == "cuda" and number else 0


def require_available(backend: str) -> None:
    """Check that a backend can compute here, before anything else is done.

    Args:
        backend: ``auto``, or a name for the engine, as :func:`backend_on` returns it.

    Raises:
        BackendError: it cannot; the message has the reason.
    """
    from pydarknet.engine.memory import free_memory

    free_memory(backend)


def _devices() -> list[str]:
    """Devices of this machine that the build can compute on."""
    from pydarknet.engine import _core

    return ["cpu", *(name for name in _core.backend_names() if name not in ON_CPU)]


def _first_on_cpu() -> str:
    """The fastest backend of this build on the processor; builds without oneDNN have only the reference."""
    from pydarknet.engine import _core

    available = _core.backend_names()
    return next((name for name in ON_CPU if name in available), ON_CPU[0])
