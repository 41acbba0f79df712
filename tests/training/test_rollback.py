# SPDX-License-Identifier: Apache-2.0
"""--on-nan rollback: a training that reaches nan resumes from earlier with a lower rate."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapes

from pydarknet import TrainConfig
from pydarknet.errors import HookError, NonFinite
from pydarknet.training import Hook, Step, checkpoint, train
from pydarknet.training.loop import TrainingLoop
from pydarknet.weights import load


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    """A rate of 1000: nan within a few iterations."""
    data, cfg = shapes.data_set(tmp_path / "ds"), shapes.cfg(tmp_path, 40)
    return TrainConfig(
        cfg,
        data,
        out=tmp_path / "run",
        threads=1,
        force=True,
        plots=False,
        lr=1e3,
        settings=("burn_in=0",),
        last_every=4,
        map_every=10,
        on_nan="rollback:0.00001",
        precision="fp32",
    )


class Watch(Hook):
    def __init__(self) -> None:
        self.rates: list[tuple[int, float]] = []

    def after_step(self, training: TrainingLoop, step: Step) -> None:
        self.rates.append((step.iteration, step.rate))


class StopAt(Hook):
    def __init__(self, *iterations: int) -> None:
        self.iterations = iterations

    def after_step(self, training: TrainingLoop, step: Step) -> None:
        if step.iteration in self.iterations and training._rollbacks:
            training.stop_reason = "signal"


def test_it_resumes_with_a_lower_rate(config: TrainConfig) -> None:
    """Iterations begin again at a saved state, the rate is the factor's, the end is finite."""
    told: list[str] = []
    watch = Watch()
    outcome = train(config, [watch], notify=told.append)
    assert (outcome.reason, outcome.iteration) == ("finished", 40)
    (line,) = [line for line in told if "back to iteration" in line]
    assert "is nan" in line or "is inf" in line or "is not finite" in line
    assert "with 1e-05 times the learning rate of the cfg (time 1 of at most 3)" in line
    assert line in (outcome.folder / "train.log").read_text()
    back = int(line.partition("back to iteration ")[2].partition(",")[0])
    assert back % 4 == 0
    turn = next(i for i, (a, b) in enumerate(zip(watch.rates, watch.rates[1:], strict=False)) if b[0] <= a[0])
    assert watch.rates[turn + 1][0] == back + 1
    assert watch.rates[turn][1] == pytest.approx(1e3)
    assert watch.rates[turn + 1][1] == pytest.approx(1e-2)
    assert np.isfinite(load(outcome.weights["final"]).values).all()
    state = checkpoint.load(outcome.folder / "weights/shapes_last.state")
    assert state.meta["training"]["rollbacks"] == 1
    assert not list((outcome.folder / "weights").glob("*_back-*"))
    sessions = json.loads((outcome.folder / "run.json").read_text())["sessions"]
    assert [session["reason"] for session in sessions] == ["non-finite", "finished"]


def test_stopped_and_continued_it_has_the_same_bits(config: TrainConfig) -> None:
    """A stop before or after the rollback does not change the result."""
    reference = train(replace(config, out=Path(config.out).with_name("reference")))

    class StopOnce(Hook):
        def after_step(self, training: TrainingLoop, step: Step) -> None:
            training.stop_reason = "signal"

    assert train(config, [StopOnce()]).reason == "signal"
    assert train(config, [StopAt(3, 7)]).reason == "signal"
    assert train(config, [StopAt(13)]).reason == "signal"
    outcome = train(config)
    assert (outcome.reason, outcome.iteration) == ("finished", 40)
    states = [checkpoint.load(o.folder / "weights/shapes_last.state") for o in (outcome, reference)]
    first, second = (state.trainer["arrays"] for state in states)
    assert all((first[name] == second[name]).all() for name in second)
    assert states[0].meta["training"] == states[1].meta["training"]


def test_it_gives_up_after_three_times(config: TrainConfig) -> None:
    """A rate that stays too high ends the run as without rollback, with the exit code of nan."""
    told: list[str] = []
    with pytest.raises(NonFinite, match="iteration"):
        train(replace(config, lr=1e9, on_nan="rollback:0.9"), notify=told.append)
    assert sum("back to iteration" in line for line in told) == 3
    words = json.loads((Path(config.out) / "crash.json").read_text())
    assert words["reason"] == "non-finite"
    assert np.isfinite(load(Path(config.out) / "weights/shapes_last.weights").values).all()


def test_back_to_where_given_weights_stand(config: TrainConfig, tmp_path: Path) -> None:
    """Initial weights with an odd iteration number are a rollback point, too."""
    calm = replace(config, lr=1e-3, max_batches=6, out=tmp_path / "first")
    weights = train(calm).weights["last"]
    told: list[str] = []
    outcome = train(replace(config, weights=weights, last_every=50), notify=told.append)
    assert outcome.reason == "finished"
    assert any("back to iteration 6, with 1e-05 times" in line for line in told)


def test_drives_without_hard_links(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """States are copied where they cannot be linked."""

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert train(config).reason == "finished"


def test_states_to_go_back_to_are_what_they_are_called(config: TrainConfig) -> None:
    """A state that could not be taken, since a hook of the caller failed at it, is not kept."""

    class Clumsy(Hook):
        name = "clumsy"
        iteration = 0

        def after_step(self, training: TrainingLoop, step: Step) -> None:
            self.iteration = step.iteration

        def state(self) -> dict[str, object]:
            if self.iteration == 8:
                raise ZeroDivisionError
            return {}

    with pytest.raises(HookError, match="failed in state"):
        train(replace(config, lr=1e-3), [Clumsy()])
    kept = list((Path(config.out) / "weights").glob("*_back-*.state"))
    names = {int(path.stem.rpartition("-")[2]): path for path in kept}
    assert names
    assert {n: checkpoint.load(path).trainer["iteration"] for n, path in names.items()} == {
        n: n for n in names
    }
