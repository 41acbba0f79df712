# SPDX-License-Identifier: Apache-2.0
"""GPUs of the workers of a training: each computes on one that no other uses."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from pydarknet.engine.devices import require_available
from pydarknet.errors import BackendError
from pydarknet.training.communicator import Communicator

_GPU = re.compile(r"\bcuda(?::(\d+))?")


class Gpu(NamedTuple):
    """A GPU that a worker can use: its number there, and the identity that it has in every process."""

    number: int
    uuid: str


def own_backend(communicator: Communicator, backend: str) -> str:
    """Name of the backend that computes for this worker; all workers call it together.

    Args:
        communicator: of the workers.
        backend: that of the settings; one on the CPU is returned as it is.

    Raises:
        BackendError: there are more workers than GPUs.
        WorkerLost: a worker is silent.
    """
    if not _GPU.search(backend):
        return backend
    seen = communicator.gather(usable(backend))
    numbers = communicator.broadcast(chosen(seen) if communicator.rank == 0 else None)
    return _GPU.sub(f"cuda:{numbers[communicator.rank]}", backend)


def usable(backend: str) -> list[Gpu]:
    """GPUs on which a backend can compute: the one whose number it has, or all; none if it uses the CPU."""
    from pydarknet.engine import _core

    found = _GPU.search(backend)
    if not found:
        return []
    devices = (_core.build_info()["cuda"] or {"devices": []})["devices"]
    number = None if found[1] is None else int(found[1])
    return [
        Gpu(device["index"], device["uuid"])
        for device in devices
        if not device["why_not"] and number in (None, device["index"])
    ]


def chosen(seen: list[list[Gpu]]) -> list[int]:
    """Number of the GPU of each worker: the first that no worker before it has.

    Args:
        seen: GPUs that each worker can use.

    Raises:
        BackendError: a worker has none left.
    """
    taken: set[str] = set()
    numbers = []
    for worker, gpus in enumerate(seen):
        free = [gpu for gpu in gpus if gpu.uuid not in taken]
        if not free:
            raise _too_many(f"worker {worker} of {len(seen)}", len(gpus))
        numbers.append(free[0].number)
        taken.add(free[0].uuid)
    return numbers


def require_gpus(backend: str, workers: int, wanted: Collection[int] = ()) -> None:
    """Check that the workers to be started on this machine can have a GPU each; on the CPU they need none.

    Args:
        backend: of the settings.
        workers: to be started.
        wanted: numbers of GPUs that must be among them.

    Raises:
        BackendError: there are fewer GPUs, the settings name one, or it cannot be used.
    """
    if not _GPU.search(backend):
        return
    for name in [f"cuda:{number}" for number in wanted] or [backend]:
        require_available(name)
    if len(gpus := usable(backend)) < workers:
        raise _too_many(f"{workers} workers", len(gpus))


def _too_many(whose: str, count: int) -> BackendError:
    return BackendError(
        f"found {count} GPU{'s' * (count != 1)} for {whose} on this machine, expected one for each: start "
        "fewer workers, leave the number out of --device, or train with --device cpu"
    )
