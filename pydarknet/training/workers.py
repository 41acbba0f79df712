# SPDX-License-Identifier: Apache-2.0
"""Several workers train one network: what they exchange in each iteration, and what worker 0 does with it.

The cfg means the same for any number of workers: each computes every W-th mini-batch of an iteration, the
gradients are summed, and all make the same update.  Rolling statistics are moved in the order of the
mini-batches, and losses are added in it, so both equal those of one process.  Files are those of worker 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from pydarknet.cfg import CfgFile
from pydarknet.errors import ArgumentError
from pydarknet.training.communicator import START, Communicator
from pydarknet.training.gradients import shared_gradients
from pydarknet.training.placement import own_backend

if TYPE_CHECKING:
    from pydarknet.data import Sample
    from pydarknet.engine._trainer import LossReport
    from pydarknet.engine.trainer import State, Trainer
    from pydarknet.runs.config import TrainConfig
    from pydarknet.training.hooks import Step

Item = TypeVar("Item")
Paths = tuple[tuple[str, ...], ...]


class Part(NamedTuple):
    """One mini-batch: its cost, the losses of its heads, and for each sample the images it was made of."""

    cost: float
    reports: list[LossReport]
    paths: Paths


@dataclass(frozen=True)
class Report:
    """Work of a worker in an iteration.

    Attributes:
        parts: its mini-batches.
        shares: of these in the rolling statistics.
        times: its seconds for ``load`` and ``compute``.
        bad: images that it could not read, with the reason.
        stopped: it received a signal to stop.
    """

    parts: list[Part]
    shares: npt.NDArray[np.float32]
    times: dict[str, float]
    bad: dict[str, str] = field(default_factory=dict)
    stopped: bool = False


@dataclass(frozen=True)
class Task:
    """Input of a worker: all but worker 0 read no file but images.

    Attributes:
        config: the settings, their precision settled.
        cfg: text of the effective cfg.
        train: training images.
        valid: validation images.
        state: of the trainer.
        rate: base learning rate in place of the cfg's; None to keep that.
    """

    config: TrainConfig
    cfg: str
    train: Sequence[Sample]
    valid: Sequence[Sample]
    state: State
    rate: float | None


@dataclass(frozen=True)
class Evaluate:
    """Worker 0 asks the others for their part of an evaluation."""


@dataclass(frozen=True)
class Continue:
    """Worker 0 is done with an iteration; ``stop``: it was the last."""

    stop: bool


def require_divisible(cfg: CfgFile, workers: int) -> None:
    """Check that a network can be trained by this number of workers.

    Raises:
        ArgumentError: the mini-batches cannot be divided, or batch norm spans them (``cbn``).
    """
    batch, parts = cfg.net.integer("batch"), cfg.net.integer("subdivisions")
    if parts % workers:
        whole = [n for n in range(workers, batch + 1, workers) if batch % n == 0]
        nearest = min(whole, key=lambda n: abs(n - parts), default=0)
        advice = f"--subdivisions {nearest}" if nearest else f"a batch that is a multiple of {workers}"
        raise ArgumentError(
            f"found subdivisions={parts} with {workers} workers, expected a multiple of {workers}, so that "
            f"each computes as many mini-batches: use {advice}"
        )
    for section in cfg.layers:
        if section.type == "convolutional" and (
            section.integer("cbn", 0) or section.integer("batch_normalize", 0) == 2
        ):
            raise ArgumentError(
                f"{cfg.path}:{section.line}: batch norm across mini-batches (cbn) needs them in one process; "
                "train it without several workers"
            )


def share_of(items: Sequence[Item], rank: int, size: int) -> Sequence[Item]:
    """The items of a worker: contiguous parts, so that results join in order."""
    return items[len(items) * rank // size : len(items) * (rank + 1) // size]


class Leader:
    """Worker 0 in a session.

    Args:
        communicator: of the workers.
        trainer: of the network that is trained.
        task: for the other workers.

    Attributes:
        gradients: sums those of all workers.
    """

    def __init__(self, communicator: Communicator, trainer: Trainer, task: Task) -> None:
        self.communicator, self._trainer = communicator, trainer
        communicator.broadcast(task, START)
        own_backend(communicator, task.config.engine_backend)  # its first GPU, which the network has
        trainer.set_worker(0, communicator.size)
        self.gradients = shared_gradients(communicator, trainer)
        self._shares = np.empty(0, np.float32)

    def gather(self, step: Step, parts: list[Part], bad: dict[str, str]) -> tuple[list[Part], bool]:
        """The mini-batches of all workers, in their order; also whether a worker was asked to stop.

        Args:
            step: receives the times of each worker.
            parts: those of this one.
            bad: receives the images that others could not read.

        Raises:
            WorkerLost: a worker is silent.
            Exception: a worker failed.
        """
        reports: list[Report] = self.communicator.gather(
            Report(parts, self._trainer.shares(), {name: step.times[name] for name in ("load", "compute")})
        )
        self._shares = np.concatenate([report.shares for report in reports])
        busy = [sum(report.times.values()) for report in reports]
        step.workers = [
            {**report.times, "wait": max(busy) - own} for report, own in zip(reports, busy, strict=True)
        ]
        for report in reports:
            bad |= report.bad
        ordered = [
            part for group in zip(*(report.parts for report in reports), strict=True) for part in group
        ]
        return ordered, any(report.stopped for report in reports)

    def reduce(self) -> None:
        """Sum the gradients, and move the rolling statistics; then all workers can update.

        Raises:
            WorkerLost: a worker is silent.
        """
        self.communicator.broadcast(self._shares)
        self._trainer.move_rolling(self._shares)
        self.gradients.reduce()

    def proceed(self, *, stop: bool) -> None:
        """Let the other workers begin the next iteration, or end."""
        self.communicator.broadcast(Continue(stop))

    def evaluate(self, own: Callable[[int, int], Any]) -> list[Any]:
        """Results of all workers on their parts of the validation images, in order.

        Args:
            own: computes that of this worker from its number and that of all.

        Raises:
            WorkerLost: a worker is silent.
            Exception: a worker failed.
        """
        self.communicator.broadcast(Evaluate())
        return self.communicator.gather(own(0, self.communicator.size))
