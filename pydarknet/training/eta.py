# SPDX-License-Identifier: Apache-2.0
"""Estimate of the time a training takes, from its first iterations: in every run, and by ``--estimate``."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydarknet.cfg.memory import smallest_subdivisions, training_memory
from pydarknet.data.album import ImageCache
from pydarknet.engine.memory import free_memory
from pydarknet.errors import DataError
from pydarknet.evaluation.collect import collect
from pydarknet.runs.folder import RunFolder
from pydarknet.runs.record import state_of
from pydarknet.system.memory import gib, peak_memory
from pydarknet.system.notify import Notify
from pydarknet.training.checkpoint import load
from pydarknet.training.communicator import Communicator, connect
from pydarknet.training.follower import follow
from pydarknet.training.hooks import Hook, Step
from pydarknet.training.loader import input_sizes
from pydarknet.training.prepare import base_of, prepare

if TYPE_CHECKING:
    from pydarknet.runs.config import TrainConfig
    from pydarknet.training.loop import TrainingLoop
    from pydarknet.training.start import Started

WARM = 2  # iterations that are not counted: the first ones open files and compile code
COUNT = 8  # iterations that are
SAMPLE = 32  # validation images that are measured


@dataclass(frozen=True)
class Estimate:
    """Time and memory that a training takes.

    Attributes:
        iteration: number of updates done.
        max_batches: number of the last iteration.
        seconds: of an iteration, the mean over all sizes that ``random=1`` will choose.
        load: seconds of an iteration spent waiting for images.
        compute: seconds of an iteration spent computing.
        update: seconds of an iteration spent updating weights.
        exchange: seconds of an iteration spent exchanging gradients with other workers, and waiting for them.
        workers: processes that share the mini-batches.
        evaluations: number of evaluations to come.
        evaluation_seconds: seconds of one evaluation.
        hours: time to the end.
        sessions: number of sessions of ``--max-hours``; 1 without it.
        memory_bytes: the most that the training will take, from the sizes of its arrays.
        peak_bytes: the most that the measurement took; None where it cannot be measured.
        free_bytes: free memory; None where it cannot be measured.
        subdivisions: of the cfg.
        smallest_subdivisions: fewest that fit into the free memory; None if none fit, or if unknown.
        precision: of the computation, such as fp32 or bf16.
    """

    iteration: int
    max_batches: int
    seconds: float
    load: float
    compute: float
    update: float
    exchange: float
    workers: int
    evaluations: int
    evaluation_seconds: float
    hours: float
    sessions: int
    memory_bytes: int
    peak_bytes: int | None
    free_bytes: int | None
    subdivisions: int
    smallest_subdivisions: int | None
    precision: str

    def text(self) -> str:
        """Format for people."""
        least = self.smallest_subdivisions
        lines = [
            f"{self.seconds:.3g} s an iteration ({self.precision}): waiting for images {self.load:.3g}, "
            f"computing {self.compute:.3g}, "
            + (f"exchange of {self.workers} workers {self.exchange:.3g}, " if self.workers > 1 else "")
            + f"update {self.update:.3g}",
            f"{self.evaluations} evaluations of {self.evaluation_seconds:.3g} s",
            f"about {_hours(self.hours)} from iteration {self.iteration} to {self.max_batches}"
            + (f", in {self.sessions} sessions of --max-hours" if self.sessions > 1 else ""),
            f"memory: about {gib(self.memory_bytes)}"
            + (f", {gib(self.free_bytes)} are free" if self.free_bytes else "")
            + f" with subdivisions={self.subdivisions}"
            + (f"; {least} would fit too" if least and least < self.subdivisions else "")
            + (f"; {least} is needed" if least and least > self.subdivisions else ""),
        ]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class EtaHook(Hook):
    """Measures the first iterations of a session.

    Args:
        done: called once when that is over.
    """

    def __init__(self, done: Callable[[TrainingLoop, EtaHook], None]) -> None:
        self._done = done
        self._steps: list[Step] = []

    @property
    def complete(self) -> bool:
        """Whether enough iterations have been measured."""
        return len(self._steps) >= WARM + COUNT

    def after_step(self, training: TrainingLoop, step: Step) -> None:
        """Measure."""
        if self.complete:
            return
        self._steps.append(step)
        if len(self._steps) == WARM + COUNT:
            self._done(training, self)

    def mean(self, *parts: str) -> float:
        """Mean seconds of parts of an iteration."""
        counted = self._steps[WARM:]
        return sum(step.times.get(part, 0.0) for step in counted for part in parts) / len(counted)

    def growth(self, training: TrainingLoop) -> float:
        """Pixels of a mean iteration to come, relative to those of the measured ones (``random=1``)."""
        size_of = input_sizes(training.config.cfg, training.config.settings.seed)
        rest = range(training.iteration, training.config.max_batches, 10) or [training.iteration]
        to_come = sum(math.prod(size_of(i)) for i in rest) / len(rest)
        counted = self._steps[WARM:]
        return to_come / (sum(math.prod(step.size) for step in counted) / len(counted))


def eta_hook(notify: Notify, max_hours: float | None = None) -> EtaHook:
    """Make a hook that reports after the first iterations how long the rest takes.

    More time than ``max_hours`` is not an error, since such a run saves, stops in time and can be resumed;
    the notice contains the number of sessions.
    """

    def report(training: TrainingLoop, eta: EtaHook) -> None:
        seconds = eta.mean("load", "compute", "exchange", "update", "save") * eta.growth(training)
        left = training.config.max_batches - training.iteration
        hours = seconds * left / 3600
        text = f"note L-33: {left} iterations of {seconds:.3g} s take {_hours(hours)}, evaluations apart"
        if max_hours and hours > max_hours:
            text += (
                f"; that is {math.ceil(hours / max_hours)} sessions of --max-hours {max_hours:g}, "
                "each of which saves and stops in time"
            )
        if left > COUNT:
            notify(text)

    return EtaHook(report)


def estimate(config: TrainConfig) -> Estimate:
    """Measure a few iterations on real batches, and an evaluation; nothing is kept.

    Args:
        config: settings of the training; for a run that exists the rest is estimated.

    Raises:
        DataError: the preflight found an error, or the training is too short to be measured.
        WorkerLost: one of several workers is silent.
    """
    communicator = connect(config.worker_timeout)
    if communicator and communicator.rank:
        found: Estimate = follow(communicator)
        return found
    return communicator.lead(lambda: _measure(config, communicator)) if communicator else _measure(config)


def _measure(config: TrainConfig, communicator: Communicator | None = None) -> Estimate:
    from pydarknet.training.run import run  # these import the hook
    from pydarknet.training.start import start

    done = 0
    state = state_of(Path(config.out, "weights"), base_of(config)) if config.out else None
    if config.out and state and (before := RunFolder(Path(config.out)).previous(base_of(config), _silent)):
        done = int(load(state).trainer["iteration"])
        config = replace(config, precision=before.precision, augment_on=before.augment_on)

    def stop(training: TrainingLoop, eta: EtaHook) -> None:  # noqa: ARG001
        training.stop_reason = "signal"

    eta = EtaHook(stop)
    with tempfile.TemporaryDirectory(prefix="pydarknet-") as place:
        cache = "none" if config.cache == "disk" else config.cache
        probe = replace(config, out=Path(place, "run"), cache=cache, max_hours=None, dump_batches=0)
        probe = replace(probe, plots=False, http=None, tensorboard=False, mlflow=False, on_end=None)
        folder = RunFolder(Path(place, "run"))
        with folder.locked():
            prepared = prepare(probe, folder, notify=_silent)
            free = free_memory(prepared.config.engine_backend)  # before the probe takes what it needs
            with start(prepared, [eta], communicator=communicator) as started:
                started.evaluator.next_map = started.loop.config.max_batches
                outcome = run(started)
                found = _estimate(started, eta, done, free, config.max_hours) if eta.complete else None
    if found:
        return found
    if outcome.reason == "signal":
        raise KeyboardInterrupt
    raise DataError(f"the training is shorter than the {WARM + COUNT} iterations that are measured")


def _silent(text: str) -> None:
    """Ignore notices."""


def _estimate(
    started: Started, eta: EtaHook, done: int, free: int | None, max_hours: float | None
) -> Estimate:
    training, schedule = started.loop, started.evaluator.schedule
    cfg, end = training.config.cfg, training.config.max_batches
    growth = eta.growth(training)
    load, compute, update, exchange = (eta.mean(part) for part in ("load", "compute", "update", "exchange"))
    seconds = (load + compute) * growth + update + exchange
    evaluations, each = 0, 0.0
    if schedule.map_every:
        first = max(cfg.net.integer("burn_in"), done + schedule.map_every)
        evaluations = max(0, (end - 1 - first) // schedule.map_every + 1) + 1
        each = _evaluation(started)
    hours = ((end - done) * seconds + evaluations * each) / 3600
    info = started.trainer.network.info
    precision, backend = info.precision, started.prepared.config.engine_backend
    workers = started.workers
    smallest = (
        smallest_subdivisions(cfg, free, precision=precision, backend=backend, workers=workers)
        if free
        else None
    )
    return Estimate(
        done,
        end,
        seconds,
        load * growth,
        compute * growth,
        update,
        exchange,
        workers,
        evaluations,
        each,
        hours,
        math.ceil(hours / max_hours) if max_hours else 1,
        training_memory(cfg, precision=precision, backend=backend).total,
        peak_memory(),
        free,
        cfg.net.integer("subdivisions"),
        smallest,
        precision,
    )


def _evaluation(started: Started) -> float:
    """Seconds of an evaluation, measured on some of its images."""
    valid = started.prepared.splits.valid
    channels, limit = started.trainer.network.info.channels, started.prepared.config.max_bad
    some = ImageCache(valid[:SAMPLE], channels, limit=limit)
    begun = time.perf_counter()
    collect(started.trainer.network, some)
    return (time.perf_counter() - begun) / len(some) * len(valid) / started.workers


def _hours(hours: float) -> str:
    if hours < 0.1:
        return f"{hours * 60:.2g} minutes"
    return f"{hours:.1f} hours"
