# SPDX-License-Identifier: Apache-2.0
"""How long a training will take, from its first iterations: said in every run, and by ``--estimate``."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydarknet.cfg.memory import smallest_subdivisions, training_memory
from pydarknet.engine.memory import free_memory
from pydarknet.errors import DataError
from pydarknet.system.memory import peak_memory
from pydarknet.training.hooks import Hook, Step

if TYPE_CHECKING:
    from pydarknet.runs.config import TrainConfig
    from pydarknet.training.loop import Training

WARM = 2  # iterations that are not counted: the first ones open files and make code
COUNT = 8  # iterations that are
SAMPLE = 32  # validation images that are measured


@dataclass(frozen=True)
class Estimate:
    """What a training will take.

    Attributes:
        iteration: where it stands; ``max_batches`` is its end.
        max_batches: see ``iteration``.
        seconds: of an iteration, the mean over all sizes that ``random=1`` will choose.
        load: seconds of it that are spent waiting for images; ``compute`` and ``update`` likewise.
        compute: see ``load``.
        update: see ``load``.
        evaluations: still to come; one takes ``evaluation_seconds``.
        evaluation_seconds: see ``evaluations``.
        hours: to the end.
        sessions: of ``--max-hours``; 1 without it.
        memory_bytes: the most that it will take, by the sizes of its arrays.
        peak_bytes: the most that the measurement took; None where that cannot be told.
        free_bytes: of memory; None where that cannot be told.
        subdivisions: of the cfg; ``smallest_subdivisions`` would fit into the free memory.
        smallest_subdivisions: see ``subdivisions``; None if none fits or nobody knows.
        precision: fp32 or bf16.
    """

    iteration: int
    max_batches: int
    seconds: float
    load: float
    compute: float
    update: float
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
        """For people."""
        least = self.smallest_subdivisions
        lines = [
            f"{self.seconds:.3g} s an iteration ({self.precision}): waiting for images {self.load:.3g}, "
            f"computing {self.compute:.3g}, update {self.update:.3g}",
            f"{self.evaluations} evaluations of {self.evaluation_seconds:.3g} s",
            f"about {_hours(self.hours)} from iteration {self.iteration} to {self.max_batches}"
            + (f", in {self.sessions} sessions of --max-hours" if self.sessions > 1 else ""),
            f"memory: about {self.memory_bytes / 2**30:.2g} GiB"
            + (f", {self.free_bytes / 2**30:.2g} GiB are free" if self.free_bytes else "")
            + f" with subdivisions={self.subdivisions}"
            + (f"; {least} would fit too" if least and least < self.subdivisions else "")
            + (f"; it takes {least}" if least and least > self.subdivisions else ""),
        ]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class Pace(Hook):
    """Measures the first iterations.

    Args:
        done: called once with the training when that is over.
    """

    def __init__(self, done: Callable[[Training, Pace], None]) -> None:
        self._done = done
        self._steps: list[Step] = []

    def after_step(self, training: Training, step: Step) -> None:
        """Take the time."""
        self._steps.append(step)
        if len(self._steps) == WARM + COUNT:
            self._done(training, self)

    def mean(self, *parts: str) -> float:
        """Mean seconds of parts of an iteration."""
        counted = self._steps[WARM:]
        return sum(step.times.get(part, 0.0) for step in counted for part in parts) / len(counted)

    def growth(self, training: Training) -> float:
        """Pixels of a mean iteration still to come over those of the measured ones (``random=1``)."""
        size_of = training.loader.size_of
        rest = range(training.iteration, training.max_batches, 10) or [training.iteration]
        to_come = sum(math.prod(size_of(i)) for i in rest) / len(rest)
        counted = self._steps[WARM:]
        return to_come / (sum(math.prod(step.size) for step in counted) / len(counted))


def forecast(say: Callable[[str], None], max_hours: float | None = None) -> Hook:
    """Says after the first iterations how long the rest takes.

    More time than ``max_hours`` is no error, for such a run saves, stops in time and goes on: it is said how
    often it will have to.
    """

    def told(training: Training, pace: Pace) -> None:
        seconds = pace.mean("load", "compute", "update", "save") * pace.growth(training)
        left = training.max_batches - training.iteration
        hours = seconds * left / 3600
        text = f"note L-33: {left} iterations of {seconds:.3g} s take {_hours(hours)}, evaluations apart"
        if max_hours and hours > max_hours:
            text += (
                f"; that is {math.ceil(hours / max_hours)} sessions of --max-hours {max_hours:g}, "
                "each of which saves and stops in time"
            )
        if left > COUNT:
            say(text)

    return Pace(told)


def estimate(config: TrainConfig) -> Estimate:
    """Measure a few iterations on real batches, and an evaluation; nothing of it is kept.

    Args:
        config: of the training; of a run that was begun the rest is estimated.

    Raises:
        DataError: the preflight found an error, or the training is too short to be measured.
    """
    from pydarknet.runs.folder import RunFolder
    from pydarknet.training.checkpoint import Shelf, load
    from pydarknet.training.run import train

    found: list[Estimate] = []
    base = Path(config.cfg).name.partition(".")[0]
    state = Shelf(Path(config.out or "", "weights"), base, False, 0).last
    done = 0
    if config.out and state.is_file():
        done = int(load(state).network["iteration"])
        config = replace(config, precision=RunFolder(Path(config.out)).config().precision)

    def measured(training: Training, pace: Pace) -> None:
        found.append(_estimate(training, pace, done, config.max_hours))
        training.stop_reason = "signal"

    class NoEvaluation(Hook):
        def before_step(self, training: Training) -> None:
            training.next_map = training.max_batches

    with tempfile.TemporaryDirectory(prefix="pydarknet-") as folder:
        cache = "none" if config.cache == "disk" else config.cache
        probe = replace(config, out=Path(folder, "run"), cache=cache, max_hours=None, dump_batches=0)
        probe = replace(probe, plots=False, http=None, tensorboard=False, mlflow=False, on_end=None)
        outcome = train(probe, [NoEvaluation(), Pace(measured)], say=lambda _: None)
    if not found and outcome.reason == "signal":
        raise KeyboardInterrupt
    if not found:
        raise DataError(f"the training is shorter than the {WARM + COUNT} iterations that are measured")
    return found[0]


def _estimate(training: Training, pace: Pace, done: int, max_hours: float | None) -> Estimate:
    cfg, end = training.cfg, training.max_batches
    growth = pace.growth(training)
    load, compute, update = (pace.mean(part) for part in ("load", "compute", "update"))
    seconds = (load + compute) * growth + update
    evaluations, each = 0, 0.0
    if training.map_every and training.valid is not None:
        first = max(cfg.net.integer("burn_in"), done + training.map_every)
        evaluations = max(0, (end - 1 - first) // training.map_every + 1) + 1
        each = _evaluation(training)
    hours = ((end - done) * seconds + evaluations * each) / 3600
    info = training.network.info
    precision, backend, free = info.precision, info.backend, free_memory(info.backend)
    smallest = smallest_subdivisions(cfg, free, precision=precision, backend=backend) if free else None
    return Estimate(
        done,
        end,
        seconds,
        load * growth,
        compute * growth,
        update,
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


def _evaluation(training: Training) -> float:
    """Seconds that an evaluation takes, from some of its images."""
    from pydarknet.data.album import ImageCache
    from pydarknet.evaluation.collect import collect

    valid = training.valid
    assert valid is not None
    some = ImageCache(valid.samples[:SAMPLE], valid.channels, limit=valid.limit)
    begun = time.perf_counter()
    collect(training.network, some)
    return (time.perf_counter() - begun) / len(some) * len(valid)


def _hours(hours: float) -> str:
    if hours < 0.1:
        return f"{hours * 60:.2g} minutes"
    return f"{hours:.1f} hours"
