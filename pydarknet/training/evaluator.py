# SPDX-License-Identifier: Apache-2.0
"""Evaluations during a training, and the schedule of everything that does not happen in each iteration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from pydarknet.cfg import CfgFile
from pydarknet.data.album import ImageCache
from pydarknet.engine._trainer import LossReport
from pydarknet.engine.images import Pixels
from pydarknet.engine.network import Network
from pydarknet.evaluation.collect import collect
from pydarknet.evaluation.columns import Judged
from pydarknet.evaluation.evaluation import Evaluation
from pydarknet.runs.config import TrainConfig
from pydarknet.training.hooks import Hook, Step
from pydarknet.training.loop import TrainingLoop
from pydarknet.training.validation_loss import LossMeter, ValidationLoss
from pydarknet.training.workers import Leader

#: Evaluates the network as it is now.
Measure = Callable[[], tuple[Evaluation, ValidationLoss | None]]


@dataclass(frozen=True)
class Schedule:
    """Iterations between savings and evaluations.

    Attributes:
        save_every: between numbered weights files.
        last_every: between saved states.
        map_every: between evaluations; 0 for none.
        first_map: iteration of the first evaluation of this session; 0 for none.
    """

    save_every: int
    last_every: int
    map_every: int = 0
    first_map: int = 0

    @classmethod
    def of(cls, config: TrainConfig, cfg: CfgFile, images: int, valid: int, iteration: int) -> Schedule:
        """Schedule of a session.

        Args:
            config: the settings.
            cfg: the effective cfg.
            images: number of training images.
            valid: number of validation images.
            iteration: at which the session begins.
        """
        net = cfg.net
        asked = config.save_interval(images / net.integer("batch"))
        save_every = asked or (1000 if net.integer("max_batches") < 10_000 else 10_000)
        last_every = config.last_every or min(100, save_every)
        if not valid or config.map_every == 0:
            return cls(save_every, last_every)
        if config.map_every:
            return cls(save_every, last_every, config.map_every, iteration + config.map_every)
        map_every = max(100, 4 * images // net.integer("batch"))
        return cls(save_every, last_every, map_every, max(net.integer("burn_in"), iteration + map_every))


class _Slice:
    """Contiguous part of the images, with the counts of unreadable ones of the whole."""

    def __init__(self, images: ImageCache, rank: int, size: int) -> None:
        self._images, self._first = images, len(images) * rank // size
        self.samples = images.samples[self._first : len(images) * (rank + 1) // size]

    def pixels(self, index: int) -> Pixels | None:
        return self._images.pixels(self._first + index)


class _Recorder(LossMeter):
    """Keeps the losses of each image, to be added up in the order of all images."""

    def __init__(self, cfg: CfgFile, mini: int) -> None:
        super().__init__(cfg, mini)
        self.kept: list[list[LossReport]] = []

    def add(self, reports: Iterable[LossReport]) -> None:
        self.kept.append(list(reports))


Measured = tuple[list[Judged], list[list[LossReport]]]  # detections, and losses of each image


def measured_part(
    images: ImageCache, network: Network, cfg: CfgFile, mini: int, rank: int, size: int
) -> Measured:
    """Evaluate on the part of the validation images that is worker ``rank``'s of ``size``."""
    recorder = _Recorder(cfg, mini)
    found = collect(network, _Slice(images, rank, size), detect=recorder.detect)
    return found, recorder.kept


def measure_together(
    images: ImageCache, names: Sequence[str], network: Network, cfg: CfgFile, leader: Leader
) -> Measure:
    """Make the function that evaluates a network with all workers; arguments as of :func:`measure_on`."""
    mini = cfg.net.integer("batch") // cfg.net.integer("subdivisions")

    def measure() -> tuple[Evaluation, ValidationLoss | None]:
        parts: list[Measured] = leader.evaluate(
            lambda rank, size: measured_part(images, network, cfg, mini, rank, size)
        )
        meter = LossMeter(cfg, mini)
        for reports in chain.from_iterable(kept for _, kept in parts):
            meter.add(reports)
        return Evaluation([image for found, _ in parts for image in found], names), meter.result()

    return measure


def measure_on(
    images: ImageCache, names: Sequence[str], network: Network, cfg: CfgFile, mini: int
) -> Measure:
    """Make the function that evaluates a network.

    Args:
        images: validation images with their labels.
        names: of the classes.
        network: to evaluate.
        cfg: of the network.
        mini: images of a mini-batch in training.
    """

    def measure() -> tuple[Evaluation, ValidationLoss | None]:
        meter = LossMeter(cfg, mini)
        found = collect(network, images, detect=meter.detect)
        return Evaluation(found, names), meter.result()

    return measure


class Evaluator(Hook):
    """Evaluates when it is due and calls ``evaluated`` of all hooks; comes before them.

    Args:
        schedule: when to evaluate.
        measure: evaluates the network.

    Attributes:
        next_map: iteration of the next evaluation; there is one after the last iteration too.
        last_map: newest mAP@0.5, 0..1; None before the first evaluation.
        best_map: highest mAP@0.5 so far, 0..1; saturated evaluations (D-01) do not count.
    """

    name = "evaluator"

    def __init__(self, schedule: Schedule, measure: Measure) -> None:
        self.schedule, self.measure = schedule, measure
        self.next_map = schedule.first_map
        self.last_map: float | None = None
        self.best_map: float | None = None

    def before_step(self, training: TrainingLoop) -> None:
        """Enter the mAP known so far."""
        training.step.last_map, training.step.best_map = self.last_map, self.best_map

    def after_step(self, training: TrainingLoop, step: Step) -> None:
        """Evaluate if it is due."""
        due = step.iteration >= self.next_map or step.iteration == training.config.max_batches
        if not self.schedule.map_every or not due:
            return
        with step.timed("eval"):
            report, step.val_loss = self.measure()
            self.last_map = step.last_map = report.map50
            self.next_map = step.iteration + self.schedule.map_every
            try:
                training.dispatch("evaluated", report)
            finally:
                if self.is_best(report):
                    self.best_map = report.map50
                step.best_map = self.best_map

    def is_best(self, report: Evaluation) -> bool:
        """Whether the mAP of an evaluation is at least the highest before."""
        return not report.saturation.reason and (self.best_map is None or report.map50 >= self.best_map)

    def state(self) -> dict[str, Any]:
        """Best, newest and next."""
        return {"best": self.best_map, "last_map": self.last_map, "next_map": self.next_map}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore; with a shorter interval than before, the next evaluation comes earlier."""
        self.best_map, self.last_map = state["best"], state["last_map"]
        planned = self.schedule.first_map
        self.next_map = min(state["next_map"] or planned, planned)
