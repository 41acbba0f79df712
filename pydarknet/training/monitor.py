# SPDX-License-Identifier: Apache-2.0
"""Monitoring of a metric: choice of the best evaluation, and early stopping.

Two rules can end a training.  Patience: N evaluations in a row that are not strictly better than the best, so
a peak at evaluation 3 with patience 5 ends at evaluation 8.  Overfitting: the validation loss rose at K
evaluations in a row while the training loss fell.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from pydarknet.system.notify import Notify
from pydarknet.training.hooks import Hook, Step

if TYPE_CHECKING:
    from pydarknet.evaluation.evaluation import Evaluation
    from pydarknet.runs.config import TrainConfig
    from pydarknet.training.loop import TrainingLoop

#: A rise of the validation loss by less than this share from one evaluation to the next is noise.
NOISE = 0.005


@dataclass(frozen=True)
class Point:
    """Summary of one evaluation.

    Attributes:
        iteration: number of updates done.
        epoch: passes over the training images until then.
        value: of the monitored metric; nan if it cannot be measured.
        map50, map5095, fitness: 0..1.
        val_loss: on the validation images; nan if unknown.
        train_loss: mean loss of the iterations since the evaluation before.
        saturated: its detections are saturated (D-01), so it cannot be the best.
    """

    iteration: int
    epoch: float
    value: float
    map50: float
    map5095: float
    fitness: float
    val_loss: float
    train_loss: float
    saturated: bool = False


class Monitor(Hook):
    """Chooses the best evaluation and stops the training by the rules of its settings.

    Args:
        config: the settings.
        images: number of training images.
        notify: receives the rule that ended the training.

    Attributes:
        metric: ``map50``, ``map5095``, ``fitness`` or ``val_loss``; less is better for the last.
        points: all evaluations so far.
        best: the best of them, the last of equal ones; None before the first.
        is_best: whether the newest evaluation is the best.
        waited: evaluations since the metric was strictly better than ever before.
        rule: description of the rule that ended the training; "" if none did.
    """

    name = "monitor"

    def __init__(self, config: TrainConfig, images: int, notify: Notify) -> None:
        self.config, self.images, self.metric = config, images, config.monitor
        self._notify = notify
        self.points: list[Point] = []
        self.best: Point | None = None
        self.is_best, self.waited, self.rule = False, 0, ""
        self._loss, self._steps = 0.0, 0

    def better(self, a: float, b: float) -> bool:
        """Whether ``a`` is strictly better than ``b``."""
        return a < b if self.metric == "val_loss" else a > b

    def evaluated(self, training: TrainingLoop, report: Evaluation) -> None:
        """Count the evaluation, and stop the training if a rule applies."""
        self.take(self._point(training, report))
        self._loss, self._steps = 0.0, 0
        reason = self.verdict()
        if reason and not training.stop_reason:
            training.stop_reason = reason
            self._notify(f"stopped: {self.rule}")

    def _point(self, training: TrainingLoop, report: Evaluation) -> Point:
        loss, validation = training.step.loss, training.step.val_loss
        val_loss = validation.loss if validation else math.nan
        values = {"map50": report.map50, "map5095": report.map5095, "fitness": report.fitness}
        return Point(
            training.iteration,
            training.step.images / self.images,
            {**values, "val_loss": val_loss}[self.metric],
            **values,
            val_loss=val_loss,
            train_loss=(self._loss + loss) / (self._steps + 1),
            saturated=bool(report.saturation.reason),
        )

    def take(self, point: Point) -> None:
        """Count one evaluation."""
        self.points.append(point)
        best = self.best.value if self.best else None
        counts = math.isfinite(point.value) and not point.saturated
        strictly = counts and (best is None or self.better(point.value, best))
        self.is_best = counts and (best is None or strictly or point.value == best)
        self.waited = 0 if strictly else self.waited + 1
        if self.is_best:
            self.best = point

    def verdict(self) -> str:
        """Reason to stop, a key of ``EXIT_CODES``; "" if there is none."""
        patience, overfit = self.config.patience, self.config.overfit
        if patience and self.best and self.waited >= patience:
            # The first of equal ones; after a rollback the best may belong to the abandoned branch.
            counted = (point for point in self.points if not point.saturated)
            best = next((point for point in counted if point.value == self.best.value), self.best)
            self.rule = (
                f"--patience {patience}: {self.metric} was best, {best.value:.4f}, at iteration "
                f"{best.iteration}, and {self.waited} evaluations were not better"
            )
            return "early-stop"
        if overfit and overfitted(self.points, overfit):
            first, last = self.points[-1 - overfit], self.points[-1]
            self.rule = (
                f"--stop-on overfit:{overfit}: from iteration {first.iteration} to {last.iteration} the "
                "validation loss rose at every evaluation, from "
                f"{first.val_loss:.4g} to {last.val_loss:.4g}, "
                f"while the training loss fell from {first.train_loss:.4g} to {last.train_loss:.4g}"
            )
            return "overfit-stop"
        return ""

    def after_step(self, training: TrainingLoop, step: Step) -> None:  # noqa: ARG002
        """Add to the mean training loss since the last evaluation."""
        if self.points and self.points[-1].iteration == step.iteration:
            return  # counted in the mean of that evaluation
        self._loss += step.loss
        self._steps += 1

    def state(self) -> dict[str, Any]:
        """Counts and points."""
        return {
            "metric": self.metric,
            "points": [asdict(point) for point in self.points],
            "best": asdict(self.best) if self.best else None,
            "waited": self.waited,
            "mean": [self._loss, self._steps],
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore; if the metric has changed, judge all evaluations again by the new one."""
        points = [_point_of(values) for values in state["points"]]
        self._loss, self._steps = state["mean"]
        if state["metric"] == self.metric:
            self.points, self.waited = points, state["waited"]
            self.best = _point_of(state["best"]) if state["best"] else None
            return
        self.points, self.best, self.waited = [], None, 0
        for point in points:
            value = getattr(point, self.metric)
            self.take(Point(**{**asdict(point), "value": value}))
        self._notify(f"best and patience now use {self.metric} instead of {state['metric']}")


def overfitted(points: Sequence[Point], count: int) -> bool:
    """Whether the validation loss rose at each of the last evaluations while the training loss fell.

    Args:
        points: all evaluations.
        count: number of the last evaluations.
    """
    window = points[-1 - count :]
    if len(window) <= count:
        return False
    pairs = itertools.pairwise(window)
    rose = all(after.val_loss > before.val_loss * (1 + NOISE) for before, after in pairs)
    return rose and window[-1].train_loss < window[0].train_loss


def _point_of(values: dict[str, Any]) -> Point:
    return Point(**{field.name: values[field.name] for field in fields(Point)})
