# SPDX-License-Identifier: Apache-2.0
"""Choice of the best and early stopping: exact arithmetic, ties, overfitting, resuming."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import shapes

from pydarknet import Network, TrainConfig
from pydarknet.data import read
from pydarknet.data.album import ImageCache
from pydarknet.data.fingerprint import fingerprint
from pydarknet.data.splits import Splits
from pydarknet.errors import ArgumentError, HookError
from pydarknet.evaluation.collect import collect
from pydarknet.evaluation.columns import Judged
from pydarknet.evaluation.evaluation import Evaluation
from pydarknet.training import Hook, Outcome, train
from pydarknet.training.loop import TrainingLoop
from pydarknet.training.monitor import Monitor, Point
from pydarknet.training.validation_loss import ValidationLoss


def judge(values: Sequence[float], **settings: object) -> tuple[Monitor, int | None]:
    """A monitor that saw these values, and the number of the evaluation at which it stopped."""
    config = TrainConfig("a.cfg", "a.data", **settings)  # type: ignore[arg-type]
    monitor = Monitor(config, 10, lambda text: None)
    for number, value in enumerate(values, 1):
        losses = {"val_loss": value} if config.monitor == "val_loss" else {"val_loss": 1.0}
        monitor.take(Point(100 * number, number, value, value, value, value, train_loss=1.0, **losses))
        if monitor.verdict():
            return monitor, number
    return monitor, None


def test_patience() -> None:
    """A peak at evaluation 3 and patience 5 end at evaluation 8, and the best is that of evaluation 3."""
    values = [0.1, 0.2, 0.5, 0.4, 0.45, 0.49, 0.3, 0.2, 0.9]
    monitor, stopped = judge(values, patience=5)
    assert stopped == 8
    assert monitor.best is not None
    assert (monitor.best.iteration, monitor.best.value) == (300, 0.5)
    assert monitor.rule == (
        "--patience 5: map50 was best, 0.5000, at iteration 300, and 5 evaluations were not better"
    )


def test_patience_100() -> None:
    """As in the source: the best at epoch 68 and patience 100 end at epoch 168."""
    _, stopped = judge([*np.linspace(0, 0.9, 68), *[0.5] * 200], patience=100)
    assert stopped == 168


def test_equal_is_not_better() -> None:
    """A value that stays the same does not reset the count, but the best is the later one."""
    monitor, stopped = judge([0.5, 0.5, 0.5, 0.5], patience=3)
    assert stopped == 4
    assert monitor.best is not None
    assert monitor.best.iteration == 400


def test_zero_ends_too() -> None:
    """A mAP that stays 0 does not count as an improvement."""
    assert judge([0.0] * 9, patience=2)[1] == 3


def test_less_loss_is_better() -> None:
    """With val_loss the smallest is the best."""
    monitor, stopped = judge([5.0, 3.0, 4.0, math.nan], patience=2, monitor="val_loss")
    assert stopped == 4
    assert monitor.best is not None
    assert monitor.best.value == 3.0


def test_without_patience_nothing_stops() -> None:
    """0 switches the rule off."""
    assert judge([0.5] + [0.1] * 500)[1] is None


def overfit(valid: Sequence[float], loss: Sequence[float], k: int = 3) -> int | None:
    """Number of the evaluation at which the curves stop a training."""
    config = TrainConfig("a.cfg", "a.data", stop_on=f"overfit:{k}")
    monitor = Monitor(config, 10, lambda text: None)
    for number, (v, t) in enumerate(zip(valid, loss, strict=True), 1):
        monitor.take(Point(100 * number, number, 0.5, 0.5, 0.5, 0.5, v, t))
        if monitor.verdict() == "overfit-stop":
            return number
    return None


def test_overfit() -> None:
    """The validation loss turns at evaluation 6; with k = 3 that is certain at evaluation 9."""
    falling = list(np.geomspace(10, 1, 12))
    turning = [9, 7, 5, 4, 3.5, 3.4, 3.6, 3.9, 4.3, 4.8, 5.4, 6.0]
    assert overfit(turning, falling) == 9
    assert overfit(turning, falling, k=1) == 7
    assert overfit(turning, falling[::-1]) is None  # both rise: not overfitting
    assert overfit(falling, falling) is None


def test_noise_is_no_overfit() -> None:
    """Rises below half a per cent do not count, however many; a pause ends the row."""
    falling = list(np.geomspace(10, 1, 40))
    assert overfit(3 * 1.004 ** np.arange(40), falling) is None
    assert overfit([3, 3.1, 3.2, 3.1] * 10, falling) is None
    noise = np.random.default_rng(0).uniform(-0.002, 0.002, 40)
    assert overfit(3 * (1 + noise), falling, k=1) is None


@pytest.mark.parametrize("word", ["overfitting", "overfit:", "overfit:0", "overfit:x", "overfit:-1"])
def test_stop_on_that_cannot_be(word: str) -> None:
    """Only overfit and overfit:K are known; an empty K is the default."""
    if word == "overfit:":
        assert TrainConfig("a.cfg", "a.data", stop_on=word).overfit == 3
        return
    with pytest.raises(ArgumentError, match="expected overfit or overfit:K with K above 0"):
        TrainConfig("a.cfg", "a.data", stop_on=word)


def test_state_comes_back() -> None:
    """A resumed monitor continues to count; with another metric it judges the old evaluations again."""
    monitor, _ = judge([0.1, 0.5, 0.4, 0.3], patience=9)
    state = json.loads(json.dumps(monitor.state()))
    again = Monitor(monitor.config, 10, lambda text: None)
    again.load_state(state)
    assert (again.points, again.best, again.waited) == (monitor.points, monitor.best, 2)
    told: list[str] = []
    other = Monitor(replace(monitor.config, monitor="val_loss"), 10, told.append)
    other.load_state(state)
    assert other.best is not None
    assert (other.best.iteration, other.best.value, other.waited) == (400, 1.0, 3)
    assert told == ["best and patience now use val_loss instead of map50"]


# -- in trainings


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    data, cfg = shapes.data_set(tmp_path / "ds"), shapes.cfg(tmp_path, 12)
    return TrainConfig(cfg, data, out=tmp_path / "run", threads=1, force=True, map_every=1, plots=False)


def report(precision: float) -> Evaluation:
    """One image with ten truths, of which a share is found: mAP@0.5 is that share."""
    count = 10
    truths = np.stack([np.arange(count), np.zeros(count), np.arange(count) + 0.9, np.ones(count)], 1)
    found = round(precision * count)
    image = Judged(
        truths[:found], np.full(found, 0.8), np.zeros(found, int), truths, np.zeros(count, int), size=(10, 1)
    )
    return Evaluation([image], ["thing"])


class Curve(Hook):
    """Replaces evaluations by values of a list, by iteration."""

    def __init__(self, values: Sequence[float], losses: Sequence[float] | None = None) -> None:
        self.values, self.losses = values, losses or [1.0] * len(values)

    def start(self, training: TrainingLoop) -> None:
        def evaluate() -> tuple[Evaluation, ValidationLoss]:
            at = training.iteration - 1
            return report(self.values[at]), ValidationLoss(self.losses[at], 0.0, 0.0)

        shapes.evaluator(training).measure = evaluate


CURVE = [0.1, 0.2, 0.5, 0.4, 0.4, 0.4, 0.4, 0.4, 0.9, 0.9, 0.9, 0.9]


def test_a_run_with_patience(config: TrainConfig) -> None:
    """The rule fires in a real run, the summary names it; stopped and continued as well."""

    class StopAt(Hook):
        def after_step(self, training: TrainingLoop, step: object) -> None:
            if training.iteration == 5:
                training.stop_reason = "signal"

    outcome = train(replace(config, patience=5), [Curve(CURVE)])
    assert (outcome.reason, outcome.iteration, outcome.best) == ("early-stop", 8, pytest.approx(0.5))
    summary = json.loads((outcome.folder / "summary.json").read_text())
    assert summary["stop_reason"] == "early-stop"
    assert summary["stop_rule"].startswith("--patience 5: map50 was best, 0.5000, at iteration 3")
    assert (summary["best_iteration"], summary["best_value"]) == (3, pytest.approx(0.5))
    other = replace(config, patience=5, out=Path(config.out).with_name("two"))
    assert train(other, [Curve(CURVE), StopAt()]).iteration == 5
    assert (found := train(other, [Curve(CURVE)])).reason == "early-stop"
    assert found.iteration == 8


def test_a_run_that_overfits(config: TrainConfig) -> None:
    """--stop-on overfit ends a run with a reason of its own, after which it counts as done."""
    losses = [5, 4, 3, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    outcome = train(replace(config, stop_on="overfit"), [Falling(), Curve([0.1] * 12, losses)])
    assert (outcome.reason, outcome.iteration) == ("overfit-stop", 7)
    assert "from iteration 4 to 7 the validation loss rose at every evaluation" in outcome.stop_rule


class Falling(Hook):
    """Makes the loss that is recorded fall."""

    def start(self, training: TrainingLoop) -> None:
        monitor = next(hook for hook in training._hooks if isinstance(hook, Monitor))
        point = monitor._point

        def falling(training: TrainingLoop, report: Evaluation) -> Point:
            return replace(point(training, report), train_loss=10 / training.iteration)

        monitor._point = falling  # type: ignore[method-assign]


def evaluated_again(outcome: Outcome, config: TrainConfig, precision: str) -> float:
    """mAP@0.5 of ``_best``, measured as ``pydarknet eval`` does."""
    valid = Splits.of(read(Path(config.data))).valid
    cfg, weights = outcome.folder / "shapes.cfg", outcome.weights["best"]
    with Network(cfg, weights, precision=precision, strict=False, threads=1) as network:
        return Evaluation(collect(network, ImageCache(valid, 3)), shapes.NAMES).map50


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_best_equals_the_number_beside_it(config: TrainConfig, precision: str) -> None:
    """Evaluating ``_best`` again gives the number beside it, to the last bit."""
    config = replace(config, max_batches=80, map_every=8, precision=precision, settings=("burn_in=0",))
    outcome = train(config)
    told = json.loads((outcome.folder / "weights/shapes_best.json").read_text())
    assert told["value"] > 0.01
    assert told["value"] == told["map50"] == outcome.best
    assert evaluated_again(outcome, config, precision) == told["value"]
    assert told["iteration"] * 4 == told["seen"]
    assert told["metric"] == "map50"
    assert told["protocol"]["precision"] == precision
    valid = Splits.of(read(Path(config.data))).valid
    assert told["valid"] == {"images": 4, "sha256": fingerprint(valid)}


def test_best_by_another_metric(config: TrainConfig) -> None:
    """--monitor val_loss keeps the weights of the smallest validation loss."""
    losses = [5, 4, 3, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    outcome = train(replace(config, monitor="val_loss"), [Curve(CURVE, losses)])
    told = json.loads((outcome.folder / "weights/shapes_best.json").read_text())
    assert (told["metric"], told["value"], told["iteration"]) == ("val_loss", 2, 4)
    best = json.loads((outcome.folder / "evaluation_best.json").read_text())
    assert (best["iteration"], best["val_loss"], best["map50"]) == (4, 2, pytest.approx(0.4))
    newest = json.loads((outcome.folder / "evaluation.json").read_text())
    assert (newest["iteration"], newest["best"]) == (12, False)


def test_columns_of_evaluations(config: TrainConfig) -> None:
    """Rows of evaluations have their numbers, the others none."""
    outcome = train(replace(config, map_every=4), [Curve(CURVE)])
    rows = list(csv.DictReader((outcome.folder / "results.csv").read_text().splitlines()))
    filled = [row for row in rows if row["map"]]
    assert [int(row["iteration"]) for row in filled] == [4, 8, 12]
    assert [float(row["map"]) for row in filled] == pytest.approx([0.4, 0.4, 0.9])
    assert [float(row["recall"]) for row in filled] == pytest.approx([0.4, 0.4, 0.9])
    assert [float(row["f1"]) for row in filled] == pytest.approx([2 * r / (1 + r) for r in (0.4, 0.4, 0.9)])
    assert all(row["val_loss"] == "1.0" and row["map5095"] and row["fitness"] for row in filled)
    assert not any(row["val_loss"] or row["map5095"] for row in rows if not row["map"])


def test_the_best_survives_going_back(config: TrainConfig) -> None:
    """--on-nan rollback goes back to before the best: its weights stay, and nothing less replaces them."""

    class Raise(Hook):
        done = False

        def before_step(self, training: TrainingLoop) -> None:
            if training.iteration == 9 and not Raise.done:
                Raise.done = True
                training.trainer.set_learning_rate(float("inf"))

    values = [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.1]
    config = replace(config, on_nan="rollback", last_every=2)
    told: list[str] = []
    again = iter([*values[:9], *[0.3] * 12])

    class Then(Curve):
        def start(self, training: TrainingLoop) -> None:
            shapes.evaluator(training).measure = lambda: (report(next(again)), ValidationLoss(1.0, 0.0, 0.0))

    outcome = train(config, [Raise(), Then(values)], notify=told.append)
    assert any("back to iteration 6" in line for line in told)
    assert outcome.reason == "finished"
    best = json.loads((outcome.folder / "weights/shapes_best.json").read_text())
    assert (best["iteration"], best["value"]) == (8, pytest.approx(0.9))
    assert (outcome.best_iteration, outcome.best) == (8, pytest.approx(0.9))
    (file,) = [file for file in outcome.files if file.kind == "best"]
    assert (file.iteration, file.map50) == (8, pytest.approx(0.9))


def test_patience_after_going_back_to_before_the_best(config: TrainConfig) -> None:
    """The best is not among the evaluations of the new branch; patience counts these and names the best."""
    monitor = Monitor(replace(config, patience=2), 10, lambda text: None)
    peak = Point(800, 8, 0.9, 0.9, 0.9, 0.9, 1.0, 1.0)
    state = monitor.state() | {"best": asdict(peak)}
    monitor.load_state(state)
    for number in (1, 2):
        assert not monitor.verdict()
        monitor.take(Point(100 * number, number, 0.3, 0.3, 0.3, 0.3, 1.0, 1.0))
    assert monitor.verdict() == "early-stop"
    assert "map50 was best, 0.9000, at iteration 800, and 2 evaluations" in monitor.rule


def test_the_best_survives_a_hook_that_fails_at_it(config: TrainConfig) -> None:
    """A hook of the caller that fails when it gets the best does not prevent it from being saved."""

    class Clumsy(Hook):
        def evaluated(self, training: TrainingLoop, report: Evaluation) -> None:
            if training.iteration == 3:
                raise ZeroDivisionError

    with pytest.raises(HookError, match="failed in evaluated"):
        train(config, [Curve(CURVE), Clumsy()])
    best = Path(config.out) / "weights/shapes_best.json"
    assert json.loads(best.read_text())["iteration"] == 3
    outcome = train(replace(config, max_batches=8), [Curve(CURVE)])
    assert (outcome.best, json.loads(best.read_text())["iteration"]) == (pytest.approx(0.5), 3)


def test_other_validation_images_are_reported(config: TrainConfig) -> None:
    """A best measured on other labels is not comparable with later results; equal ones are not reported."""
    told: list[str] = []
    train(replace(config, max_batches=4), [Curve(CURVE)], notify=told.append)
    train(replace(config, max_batches=6), [Curve(CURVE)], notify=told.append)
    assert not any("have changed" in line for line in told)
    label = next((Path(config.data).parent / "valid").glob("*.txt"))
    label.write_text("0 0.5 0.5 0.1 0.1\n")
    train(replace(config, max_batches=8), [Curve(CURVE)], notify=told.append)
    (line,) = [line for line in told if "have changed" in line]
    assert "since the best was measured at iteration 3: later results are not comparable with it" in line
