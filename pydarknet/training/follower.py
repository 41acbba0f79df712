# SPDX-License-Identifier: Apache-2.0
"""The workers besides worker 0: they compute, and write nothing."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pydarknet.cfg import CfgFile
from pydarknet.data.album import ImageCache
from pydarknet.engine.network import Network
from pydarknet.errors import WorkerLost
from pydarknet.training.communicator import START, Communicator, Dismissed
from pydarknet.training.evaluator import measured_part
from pydarknet.training.gradients import shared_gradients
from pydarknet.training.loader import Batch, accumulate, make_loader
from pydarknet.training.placement import own_backend
from pydarknet.training.signals import stopped_by_signals
from pydarknet.training.startup_checks import cache_room
from pydarknet.training.workers import Continue, Part, Report, Task

_log = logging.getLogger("pydarknet")


class _Restarted(Exception):
    """Worker 0 began the training again, from an earlier state."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task


def follow(communicator: Communicator) -> Any:
    """Compute what worker 0 asks for, until it ends; returns its result.

    Raises:
        WorkerLost: worker 0 is silent, or has found that another is.
        Exception: that which ended the training.
    """
    task: Task | None = None
    with _only_errors():
        while True:
            try:
                task = task or communicator.broadcast(patience=START)
                with contextlib.ExitStack() as stack:
                    Follower(communicator, task, stack).run()
                task = None
            except _Restarted as again:
                task = again.task
            except Dismissed as end:
                if isinstance(end.result, BaseException):
                    raise end.result from None
                return end.result
            except WorkerLost:
                raise
            except BaseException as error:
                communicator.fail(error)
                with contextlib.suppress(Dismissed):
                    while True:
                        communicator.broadcast(patience=START)
                raise


@contextlib.contextmanager
def _only_errors() -> Iterator[None]:
    """Warnings are worker 0's to give."""
    before = _log.level
    _log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        _log.setLevel(before)


class Follower:
    """A worker in a session.

    Args:
        communicator: of the workers.
        task: from worker 0.
        stack: receives what is to be closed.
    """

    def __init__(self, communicator: Communicator, task: Task, stack: contextlib.ExitStack) -> None:
        self.communicator, self.stop_reason = communicator, ""
        communicator.limit = task.config.worker_timeout
        self.cfg = CfgFile.parse(task.cfg)
        config = replace(task.config, cache="none" if task.config.cache == "disk" else task.config.cache)
        self.network = Network.parse(
            task.cfg,
            strict=False,
            backend=own_backend(communicator, config.engine_backend),
            precision=config.precision,
            threads=config.threads or communicator.threads,
        )
        stack.callback(self.network.close)
        self.trainer = self.network.trainer()
        self.trainer.load_state(task.state)
        self.trainer.set_worker(communicator.rank, communicator.size)
        self._gradients = shared_gradients(communicator, self.trainer)
        if task.rate is not None:
            self.trainer.set_learning_rate(task.rate)
        channels, room = self.network.info.channels, cache_room(config, self.cfg)
        caching: dict[str, Any] = {"cache": config.cache, "limit": config.max_bad, "room": room}
        images = ImageCache(task.train, channels, **caching)
        self.loader = make_loader(images, self.cfg, config, communicator)
        stack.callback(self.loader.close)
        self.valid = ImageCache(task.valid, channels, **caching)
        self._size = (self.network.info.width, self.network.info.height)

    def run(self) -> None:
        """Compute until worker 0 says that it is enough."""
        end = self.cfg.net.integer("max_batches")
        with stopped_by_signals(self):
            batches = self.loader.batches(self.trainer.iteration, end)
            while self.trainer.iteration < end:
                self._iterate(batches)
                if self._told_to_stop():
                    return

    def _iterate(self, batches: Iterator[Batch]) -> None:
        times = {"load": 0.0, "compute": 0.0}
        parts = []
        for _ in range(self.loader.own):
            begun = time.perf_counter()
            batch = next(batches)
            loaded = time.perf_counter()
            parts.append(self._accumulate(batch))
            times["load"] += loaded - begun
            times["compute"] += time.perf_counter() - loaded
        stopped = bool(self.stop_reason)
        report = Report(parts, self.trainer.shares(), times, dict(self.loader.images.bad), stopped)
        self.communicator.gather(report)
        self.trainer.move_rolling(self._answer())
        self._gradients.reduce()
        self.trainer.update()

    def _accumulate(self, batch: Batch) -> Part:
        if batch.size != self._size:
            self.trainer.resize(*batch.size)
            self._size = batch.size
        cost = accumulate(self.trainer, batch, self.loader.ready())
        return Part(cost, self.trainer.losses(), batch.paths)

    def _told_to_stop(self) -> bool:
        """Take part in evaluations until worker 0 continues."""
        while not isinstance(answer := self._answer(), Continue):
            rank, size = self.communicator.rank, self.communicator.size
            found = measured_part(self.valid, self.network, self.cfg, self.loader.mini, rank, size)
            self.communicator.gather(found)
        return answer.stop

    def _answer(self) -> Any:
        answer = self.communicator.broadcast()
        if isinstance(answer, Task):
            raise _Restarted(answer)
        return answer
