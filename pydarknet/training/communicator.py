# SPDX-License-Identifier: Apache-2.0
"""Communication between the workers of a training: a few operations on MPI, each with a time limit.

The launcher (``mpiexec``, ``srun``, ``pydarknet train --processes``) starts all workers and numbers them.
Values go through worker 0, which therefore knows who is silent, and names it to the others; gradients are
summed by MPI's own all-reduce in main memory, unless the backend sums them in its own; see workers.py.
"""

from __future__ import annotations

import atexit
import functools
import pickle
import time
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import numpy as np
import numpy.typing as npt

from pydarknet.errors import BackendError, DarknetError, WorkerLost
from pydarknet.system.extras import require
from pydarknet.system.launcher import launched
from pydarknet.system.machine import affinity

Result = TypeVar("Result")

UP, DOWN, ROLL = 1, 2, 3  # tags: to worker 0, from worker 0, roll call
NAP = 0.0005  # seconds between two checks of an idle connection
SPIN = 0.02  # seconds of checks without a pause
START = 10  # times the limit: worker 0 reads the data set before the others have work


class Dismissed(DarknetError):
    """Worker 0 has ended the training.

    Attributes:
        result: its outcome, or the exception that ended it.
    """

    def __init__(self, result: Any) -> None:
        super().__init__("worker 0 has ended the training")
        self.result = result


def connect(limit: float) -> Communicator | None:
    """Communicator of the workers that were started together; None for a process on its own.

    Args:
        limit: seconds after which a silent worker is lost.

    Raises:
        MissingExtra: several were started, and mpi4py is not installed.
        BackendError: the library of mpi4py does not find the other workers.
    """
    count = launched()
    if count == 1:
        return None
    found = Communicator(_world(), limit)
    if found.size != count:
        raise BackendError(
            f"the launcher started {count} processes, and MPI finds {found.size}: mpi4py was loaded with the "
            "library of another MPI than the launcher's. Use the mpiexec of the same environment, "
            "`srun --mpi=pmi2` with MPICH, or set MPI4PY_MPIABI"
        )
    return found


@functools.cache
def _world() -> Any:
    """Begin MPI once in this process; :func:`at_exit` ends it, unless a worker was lost."""
    require("mpi4py", "distributed").rc.finalize = False  # it would wait for a worker that is gone
    mpi = require("mpi4py.MPI", "distributed", "mpi4py")
    atexit.register(lambda: _world().lost or mpi.Finalize())
    return _World(mpi)


class _World:
    """MPI in this process.

    Attributes:
        lost: a worker is gone, so that nothing that needs all of them would end.
    """

    def __init__(self, mpi: Any) -> None:
        self.mpi, self.lost = mpi, False
        self.comm = mpi.COMM_WORLD.Dup()
        self.comm.Set_errhandler(mpi.ERRORS_RETURN)
        machine = self.comm.Split_type(mpi.COMM_TYPE_SHARED)
        self.local: int = machine.Get_size()
        self.cores: frozenset[int] = frozenset().union(*machine.allgather(affinity()))


class Communicator:
    """The workers of a training.

    Attributes:
        rank: number of this worker.
        size: number of workers.
        limit: seconds after which a silent worker is lost.
        bytes: sent in :meth:`all_reduce` by this worker, as values that are summed.
    """

    def __init__(self, world: _World, limit: float) -> None:
        self._world, self._comm, self.limit = world, world.comm, limit
        self.rank, self.size = int(self._comm.Get_rank()), int(self._comm.Get_size())
        self.bytes = 0

    @property
    def threads(self) -> int:
        """Cores of this machine for each of its workers, at least 1."""
        return max(1, len(self._world.cores) // self._world.local)

    # -- values

    def gather(self, value: Any) -> list[Any]:
        """Values of all workers in worker 0; an empty list in the others.

        Raises:
            WorkerLost: a worker is silent.
            Exception: that which a worker sent by :meth:`fail`.
        """
        if self.rank:
            self._send(value, 0, UP)
            return []
        values = {0: value}
        others = set(range(1, self.size))

        def receive() -> bool:
            for rank in sorted(others - values.keys()):
                if (found := self._received(rank, UP)) is not None:
                    values[rank] = pickle.loads(found)
            return len(values) == self.size

        if not self._until(receive, self.limit):
            self._lost(sorted(others - values.keys()))
        for rank in range(self.size):
            if isinstance(error := values[rank], _Failure):
                raise error.named(rank)
        return [values[rank] for rank in range(self.size)]

    def broadcast(self, value: Any = None, patience: float = 1) -> Any:
        """The value of worker 0, in all workers.

        Args:
            value: of worker 0.
            patience: times the limit, for what takes worker 0 long.

        Raises:
            WorkerLost: a worker is silent.
            Dismissed: worker 0 has ended the training.
        """
        if self.rank == 0:
            for rank in range(1, self.size):
                self._send(value, rank, DOWN)
            return value
        found: list[bytes | None] = [None]

        def receive() -> bool:
            found[0] = self._received(0, DOWN)
            return found[0] is not None

        # Worker 0 may be waiting for another one itself, so it has one limit more.
        if not self._until(receive, self.limit * (1 + patience)):
            self._lost([0])
        answer = pickle.loads(found[0] or b"")
        if isinstance(answer, WorkerLost):
            self._world.lost = True
            raise answer
        if isinstance(answer, _Dismissal):
            raise Dismissed(answer.result)
        return answer

    def barrier(self) -> None:
        """Wait for all workers.

        Raises:
            WorkerLost: a worker is silent.
        """
        self.gather(None)
        self.broadcast()

    def fail(self, error: BaseException) -> None:
        """In place of the next :meth:`gather`: worker 0 raises the error there."""
        self._send(_Failure(error), 0, UP)

    def lead(self, work: Callable[[], Result]) -> Result:
        """The work of worker 0; at its end the others are dismissed with its result, or its error."""
        try:
            result = work()
        except BaseException as error:
            self.dismiss(error)
            raise
        self.dismiss(result)
        return result

    def dismiss(self, result: Any) -> None:
        """End the training in the other workers, which are waiting for worker 0; lost ones are left alone."""
        if self._world.lost:
            return
        for rank in range(1, self.size):
            self._send(_Dismissal(_picklable(result)), rank, DOWN)

    # -- arrays

    def all_reduce(self, values: npt.NDArray[np.float32]) -> None:
        """Replace values by their sums over all workers, which have the same bits everywhere.

        Raises:
            WorkerLost: a worker is silent.
        """
        self.bytes += values.nbytes
        request = self._comm.Iallreduce(self._world.mpi.IN_PLACE, values)
        if not self._until(request.Test, self.limit, nap=0):
            self.call_roll()

    # -- silence

    def call_roll(self, error: Exception | None = None) -> NoReturn:
        """Find out who is missing, after an operation of all workers failed in this one.

        Args:
            error: the failure, if the operation was not of this communicator.

        Raises:
            WorkerLost: a worker is silent.
            BackendError: all are here; the message has the failure of each.
        """
        if self.rank:
            self._send(error, 0, ROLL)
            self.broadcast()
            raise error or WorkerLost("worker 0 continued without this one")
        here = {0: error}

        def receive() -> bool:
            for rank in set(range(1, self.size)) - here.keys():
                if (found := self._received(rank, ROLL)) is not None:
                    here[rank] = pickle.loads(found)
            return len(here) == self.size

        self._until(receive, self.limit / 2)
        missing = [rank for rank in range(self.size) if rank not in here]
        if error and not missing:
            raise BackendError("; ".join(f"worker {rank}: {text}" for rank, text in sorted(here.items())))
        self._lost(missing)

    def _lost(self, ranks: list[int]) -> NoReturn:
        """End in all workers: none of them waits any longer."""
        names = f"worker{'s' if len(ranks) > 1 else ''} {', '.join(map(str, ranks)) or '?'} of {self.size}"
        error = WorkerLost(
            f"{names} gave no sign of life in {self.limit:g} s (--worker-timeout); run the same command "
            "again to resume from the last saved state"
        )
        self._world.lost = True
        if self.rank == 0:
            sent = [self._post(error, rank, DOWN) for rank in range(1, self.size) if rank not in ranks]
            self._until(lambda: all(request.Test() for request in sent), self.limit)
        raise error

    # -- messages

    def _send(self, value: Any, rank: int, tag: int) -> None:
        if not self._until(self._post(value, rank, tag).Test, self.limit):
            self._lost([rank])

    def _post(self, value: Any, rank: int, tag: int) -> Any:
        """Begin to send; the request keeps the data alive."""
        data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        return self._comm.Isend([data, self._world.mpi.BYTE], rank, tag)

    def _received(self, rank: int, tag: int) -> bytes | None:
        """A message, if one has come."""
        mpi = self._world.mpi
        status = mpi.Status()
        message = self._comm.Improbe(rank, tag, status)
        if message is None:
            return None
        data = bytearray(status.Get_count(mpi.BYTE))
        request = message.Irecv([data, mpi.BYTE])
        if not self._until(request.Test, self.limit):
            self._lost([rank])
        return bytes(data)

    def _until(self, done: Callable[[], bool], limit: float, nap: float = NAP) -> bool:
        """Wait until ``done()``; returns whether it came to be in the limit."""
        begun = time.monotonic()
        try:
            while not done():
                waited = time.monotonic() - begun
                if waited > limit:
                    return False
                time.sleep(nap if waited > SPIN else 0)
        except self._world.mpi.Exception:  # a connection broke
            return False
        return True


class _Dismissal:
    """Message of :meth:`Communicator.dismiss`."""

    def __init__(self, result: Any) -> None:
        self.result = result


class _Failure:
    """Message of :meth:`Communicator.fail`."""

    def __init__(self, error: BaseException) -> None:
        self.error: BaseException = _picklable(error)

    def named(self, rank: int) -> BaseException:
        """The error, with the number of its worker."""
        if self.error.args and isinstance(self.error.args[0], str):
            self.error.args = (f"worker {rank}: {self.error.args[0]}", *self.error.args[1:])
        return self.error


def _picklable(value: Any) -> Any:
    """The value, or for an error that cannot be sent one with its text."""
    try:
        pickle.loads(pickle.dumps(value))
        return value
    except Exception:
        return DarknetError(f"{type(value).__name__}: {value}")
