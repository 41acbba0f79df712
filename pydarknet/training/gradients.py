# SPDX-License-Identifier: Apache-2.0
"""Sum of the gradients of all workers: on their GPUs where all of them can, else in main memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pydarknet.engine.info import engine_libraries
from pydarknet.errors import BackendError
from pydarknet.training.communicator import Communicator

if TYPE_CHECKING:
    from pydarknet.engine.trainer import Trainer

BUCKET = 25 * 2**20  # bytes of gradients that are summed at a time in main memory


class Gradients(Protocol):
    """Gradients of all workers.

    Attributes:
        by: what sums them, for the log.
    """

    by: str

    def reduce(self) -> None:
        """Replace the gradients of this worker by the sums over all.

        Raises:
            WorkerLost: a worker is silent.
            BackendError: the connection of the GPUs failed.
        """


def shared_gradients(communicator: Communicator, trainer: Trainer) -> Gradients:
    """Connect the workers; all of them call it together, after ``trainer.set_worker()``.

    Raises:
        WorkerLost: a worker is silent.
        BackendError: the GPUs cannot be connected.
    """
    reasons = communicator.gather(trainer.why_no_group())
    missing = [f"worker {rank}: {reason}" for rank, reason in enumerate(reasons) if reason]
    able = communicator.rank == 0 and not missing
    group: bytes | None = communicator.broadcast(trainer.group_id() if able else None)
    if group is None:
        return InMainMemory(communicator, trainer, missing[0] if missing else "")
    return OnGpus(communicator, trainer, group)


class InMainMemory:
    """Sum by MPI, a bucket at a time.

    Args:
        communicator: of the workers.
        trainer: of this one.
        reason: why the backends do not sum them.

    Attributes:
        by: see :class:`Gradients`.
    """

    def __init__(self, communicator: Communicator, trainer: Trainer, reason: str) -> None:
        self.by = f"MPI in main memory ({reason})"
        self._communicator, self._trainer = communicator, trainer
        self._buckets: list[list[tuple[int, str, int]]] = []
        room = 0
        for array in trainer.gradient_arrays():
            if array[2] * 4 > room:
                self._buckets.append([])
                room = BUCKET
            self._buckets[-1].append(array)
            room -= array[2] * 4
        largest = max((sum(array[2] for array in bucket) for bucket in self._buckets), default=0)
        self._buffer = np.empty(largest, np.float32)

    def reduce(self) -> None:
        """See :meth:`Gradients.reduce`."""
        for bucket in self._buckets:
            values = self._buffer[: sum(array[2] for array in bucket)]
            self._trainer.flat_gradients(bucket, values)
            self._communicator.all_reduce(values)
            self._trainer.set_flat_gradients(bucket, values)


class OnGpus:
    """Sum by NCCL, all arrays at once.

    Args:
        communicator: of the workers.
        trainer: of this one.
        group: id by which the GPUs find each other.

    Attributes:
        by: see :class:`Gradients`.

    Raises:
        WorkerLost: a worker is silent.
        BackendError: the GPUs cannot be connected.
    """

    def __init__(self, communicator: Communicator, trainer: Trainer, group: bytes) -> None:
        self.by = f"NCCL {engine_libraries('cuda')['nccl']} on the GPUs"
        self._communicator, self._trainer = communicator, trainer
        self._together(lambda: trainer.join_group(group, communicator.limit))

    def reduce(self) -> None:
        """See :meth:`Gradients.reduce`."""
        self._together(lambda: self._trainer.sum_gradients(self._communicator.limit))

    def _together(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BackendError as error:
            self._communicator.call_roll(error)
