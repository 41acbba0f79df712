# SPDX-License-Identifier: Apache-2.0
"""Results of a run: times, resources, losses per image, lines for people, the summary."""

from __future__ import annotations

import csv
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapes
from helpers import run

from pydarknet import TrainConfig
from pydarknet.errors import ArgumentError, HookError, NonFinite
from pydarknet.runs.outcome import Outcome
from pydarknet.system.usage import Resources
from pydarknet.training import Hook, Step, train
from pydarknet.training import run as training_run
from pydarknet.training.loop import TrainingLoop
from pydarknet.training.tables import COLUMNS, TIMES, Stall


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    data, cfg = shapes.data_set(tmp_path / "ds"), shapes.cfg(tmp_path, 12)
    return TrainConfig(cfg, data, out=tmp_path / "run", threads=1, force=True, plots=False)


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "results.csv").read_text().splitlines()))


def test_times_sum_to_the_wall(config: TrainConfig) -> None:
    """The columns are disjoint and leave nothing out: within 5 % of what a clock of its own shows."""

    class Watch(Hook):
        """Slow in the places where hooks are called, which is time too."""

        def before_step(self, training: TrainingLoop) -> None:
            if training.iteration == 0:
                self.begun = time.perf_counter()

        def evaluated(self, training: TrainingLoop, report: object) -> None:
            time.sleep(0.02)

        def after_step(self, training: TrainingLoop, step: Step) -> None:
            time.sleep(0.02)

        def end(self, training: TrainingLoop, reason: str) -> None:
            self.wall = time.perf_counter() - self.begun

    watch = Watch()
    outcome = train(replace(config, map_every=2, save_every=2, max_batches=40), [watch])
    table = rows(outcome.folder)
    total = sum(float(row[name]) for row in table for name in TIMES)
    assert total == pytest.approx(watch.wall, rel=0.05)
    assert total == pytest.approx(sum(float(row["seconds"]) for row in table))
    assert sum(float(row["other"]) for row in table) > 40 * 0.02 * 0.9
    assert all(float(row["save"]) > 0 for row in table if int(row["iteration"]) % 2 == 0)


def test_a_run_is_evaluated_by_default(config: TrainConfig) -> None:
    """With images in ``valid`` at least at the end; ``--map-every 0`` switches it off."""
    assert [row["iteration"] for row in rows(train(config).folder) if row["map"]] == ["12"]
    off = replace(config, map_every=0, out=Path(str(config.out)).with_name("off"))
    assert [row["iteration"] for row in rows(train(off).folder) if row["map"]] == []


def test_losses_are_those_of_an_image(config: TrainConfig) -> None:
    """Darknet divides the costs of an iteration by its images; the parts and the log's lines as well."""
    seen: list[tuple[float, float]] = []

    class Look(Hook):
        def after_step(self, training: TrainingLoop, step: Step) -> None:
            cost = sum(report.cost for mini in step.heads for report in mini)
            seen.append((cost / 4, sum(r.class_loss for mini in step.heads for r in mini) / 4))

    outcome = train(config, [Look()])
    for (loss, class_loss), row in zip(seen, rows(outcome.folder), strict=True):
        assert float(row["loss"]) == pytest.approx(loss, rel=1e-6)
        assert float(row["class_loss"]) == pytest.approx(class_loss, rel=1e-6)
    line = next(
        line for line in (outcome.folder / "train.log").read_text().splitlines() if "class_loss" in line
    )
    first = float(line.partition("class_loss = ")[2].partition(",")[0])
    assert first == pytest.approx(seen[0][1], rel=0.1)  # of the first of two mini-batches


def test_loss_of_a_fresh_head(config: TrainConfig) -> None:
    """By hand: 6·6 cells of 2 boxes at objectness 0.5 cost 72/4 = 18 an image; classes add a bit."""
    outcome = train(replace(config, settings=("batch=16", "subdivisions=4")))
    assert 17 < float(rows(outcome.folder)[0]["loss"]) < 24


def test_resources(config: TrainConfig) -> None:
    """Memory and processor are those of the process, written bytes those of its files."""
    data = np.ones((4096, 4096), np.uint8)
    measure = Resources()
    place = config.cfg.with_name("big")  # type: ignore[union-attr]
    with place.open("wb") as file:
        file.write(data.tobytes())
        os.fsync(file.fileno())
    end = time.monotonic() + 1.1
    while time.monotonic() < end:
        data.sum()
    found = measure.sample()
    assert found["cpu_percent"] is not None
    assert 10 < found["cpu_percent"] < 100 * (os.cpu_count() or 1) + 20
    assert found["rss_mb"] is not None
    assert found["rss_mb"] > 16
    if found["written_mb"] is not None and found["written_mb"] > 0:  # 0 on file systems in memory
        assert found["written_mb"] >= 15
    assert measure.sample() is found  # asked again at once, nothing is measured
    table = rows(train(config).folder)
    assert all(float(row["rss_mb"]) > 10 for row in table)
    assert all(0 <= float(row["stall"]) <= 1 for row in table)


def test_gpu_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values of nvidia-ml-py for the GPU that computes; without a driver the columns are empty."""
    import sys
    from types import SimpleNamespace

    assert Resources().sample()["gpu_percent"] is None or Path("/proc/driver/nvidia").exists()
    fake = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda index: f"gpu {index}",
        nvmlDeviceGetUtilizationRates=lambda gpu: SimpleNamespace(gpu=73 if gpu == "gpu 0" else 5),
        nvmlDeviceGetMemoryInfo=lambda gpu: SimpleNamespace(used=3 * 2**30),
        nvmlDeviceGetTemperature=lambda gpu, sensor: 61 if sensor == 0 else 0,
        NVMLError=RuntimeError,
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    found = Resources().sample()
    assert (found["gpu_percent"], found["gpu_mb"], found["gpu_celsius"]) == (73.0, 3072.0, 61.0)
    assert Resources(1).sample()["gpu_percent"] == 5.0
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,0")
    assert Resources(1).sample()["gpu_percent"] == 73.0  # the second that CUDA sees


def test_stall() -> None:
    """Of 100 seconds, 25 were spent waiting; an evaluation in between does not count."""
    stall = Stall()
    for _ in range(10):
        share = stall.add(Step(1, times={"load": 2.5, "compute": 7, "update": 0.5, "eval": 1000, "save": 9}))
    assert share == pytest.approx(0.25)


def test_a_table_of_before(config: TrainConfig) -> None:
    """A run begun with other columns continues with those of this version; no number changes its column."""

    class StopAt(Hook):
        def after_step(self, training: TrainingLoop, step: Step) -> None:
            if step.iteration == 4:
                training.stop_reason = "signal"

    folder = train(config, [StopAt()]).folder
    old = [{"iteration": row["iteration"], "loss": row["loss"], "gone": "1"} for row in rows(folder)]
    with (folder / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["iteration", "loss", "gone"])
        writer.writeheader()
        writer.writerows(old)
    train(config)
    table = rows(folder)
    assert tuple(table[0]) == COLUMNS
    assert [int(row["iteration"]) for row in table] == list(range(1, 13))
    assert [row["loss"] for row in table[:4]] == [row["loss"] for row in old]
    assert float(table[-1]["seconds"]) > 0


def test_lines_of_a_run(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To a file: no control codes; one line for each evaluation under one header, and the summary."""
    words = ("--cfg", config.cfg, "--data", config.data, "--out", config.out, "--force")
    more = ("--threads", 1, "--map-every", 4, "--quiet", "--price-per-hour", 3600)
    assert run(monkeypatch, "train", *words, *more) == 0
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert "\r" not in text
    lines = text.splitlines()
    head = next(i for i, line in enumerate(lines) if line.split()[:3] == ["iteration", "epoch", "loss"])
    table = [line.split() for line in lines[head + 1 :] if line[:9].strip().isdigit()]
    assert [row[0] for row in table] == ["4", "8", "12"]
    maps = [row["map"] for row in rows(Path(str(config.out))) if row["map"]]
    assert [row[4] for row in table] == [f"{float(value):.2%}" for value in maps]
    assert "finished at iteration 12 (3.0 epochs)" in text
    summary = json.loads((Path(str(config.out)) / "summary.json").read_text())
    assert summary["cost"] == pytest.approx(summary["wall_s"])
    assert f"cost {summary['cost']:.2f}" in text


def test_summary(config: TrainConfig) -> None:
    """The facts: files with their mAP, epochs, best, mean epoch, wall time; two sessions are one run."""

    class StopAt(Hook):
        def after_step(self, training: TrainingLoop, step: Step) -> None:
            if step.iteration == 5:
                training.stop_reason = "signal"

    config = replace(config, map_every=4, save_every=6, keep="best,last,1")
    train(config, [StopAt()])
    outcome = train(config)
    summary = json.loads((outcome.folder / "summary.json").read_text())
    table = rows(outcome.folder)
    maps = {int(row["iteration"]): float(row["map"]) for row in table if row["map"]}
    assert summary["epochs_done"] == 12 * 4 / 16
    assert summary["mean_epoch_s"] == pytest.approx(sum(float(row["seconds"]) for row in table) / 3)
    assert summary["best_value"] == max(maps.values())
    assert summary["best_epoch"] == summary["best_iteration"] * 4 / 16
    files = {file["kind"]: file for file in summary["files"]}
    assert files.keys() == {"best", "last", "final", "12"}
    assert files["last"]["map50"] == files["final"]["map50"] == files["12"]["map50"] == maps[12]
    assert files["best"]["iteration"] == summary["best_iteration"]
    assert all((outcome.folder / file["path"]).is_file() for file in files.values())
    assert (summary["stop_reason"], summary["stop_rule"], summary["cost"]) == ("finished", "", None)
    assert summary["trend"] == "unclear"
    sessions = json.loads((outcome.folder / "run.json").read_text())["sessions"]
    assert len(sessions) == 2
    assert summary["wall_s"] >= 0


def test_summary_of_a_failure(config: TrainConfig) -> None:
    """A run that failed prints its summary before the error."""
    told: list[str] = []
    with pytest.raises(NonFinite):
        train(replace(config, settings=("learning_rate=1e8", "burn_in=0"), last_every=1), notify=told.append)
    text = told[-1]
    assert text.startswith("non-finite at iteration ")
    assert "shapes_last.weights" in text
    summary = json.loads((Path(str(config.out)) / "summary.json").read_text())
    assert summary["stop_reason"] == "non-finite"


def test_a_summary_that_fails_changes_no_outcome(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The training is done, and the command of --on-end runs."""

    def fail(*_: object) -> None:
        raise ValueError("about nothing")

    monkeypatch.setattr(training_run, "summarise", fail)
    told: list[str] = []
    place = tmp_path / "ended"
    outcome = train(replace(config, on_end=f"touch '{place}'", max_batches=2), notify=told.append)
    assert (outcome.reason, outcome.epochs_done, outcome.files) == ("finished", None, ())
    assert "summary.json cannot be written: ValueError: about nothing" in told
    assert place.exists()


def test_price_below_zero() -> None:
    """A price is 0 or more."""
    with pytest.raises(ArgumentError, match="found price_per_hour=-1, expected 0 or more"):
        TrainConfig("a.cfg", "a.data", price_per_hour=-1.0)


@pytest.mark.parametrize("method", ["start", "before_step", "after_step", "evaluated", "end", "state"])
def test_a_hook_that_fails(config: TrainConfig, method: str) -> None:
    """The error names hook, method and cause; the state is saved, and the run ends as if nothing had been."""

    class Clumsy(Hook):
        name = "clumsy"
        count = 0

    def fail(self: Clumsy, *arguments: object) -> object:
        Clumsy.count += 1
        if Clumsy.count >= 3 or method in ("start", "end"):
            raise ZeroDivisionError("about nothing")
        return {}

    setattr(Clumsy, method, fail)
    config = replace(config, map_every=2, last_every=3)
    expected = train(replace(config, out=Path(str(config.out)).with_name("whole")))
    with pytest.raises(
        HookError, match=f"the hook Clumsy failed in {method}: ZeroDivisionError: about nothing"
    ):
        train(config, [Clumsy()])
    folder = Path(str(config.out))
    assert json.loads((folder / "run.json").read_text())["result"]["reason"] == "failed"
    reached = json.loads((folder / "run.json").read_text())["result"]["iteration"]
    lost = {"start": 0, "before_step": 2, "after_step": 3, "evaluated": 6, "end": 12, "state": 4}
    assert reached == lost[method]
    outcome = train(config)
    assert outcome.reason == ("nothing-to-do" if method == "end" else "finished")
    assert outcome.weights["final"].read_bytes() == expected.weights["final"].read_bytes()


def test_seconds_of_an_epoch_with_given_weights(config: TrainConfig) -> None:
    """Iterations that the weights had behind them do not count in the mean."""
    first = train(replace(config, max_batches=8))
    other = Path(str(config.out)).with_name("other")
    outcome = train(replace(config, weights=first.weights["last"], out=other))
    seconds = [float(row["seconds"]) for row in rows(outcome.folder)]
    assert (len(seconds), outcome.iteration) == (4, 12)
    assert outcome.mean_epoch_s == pytest.approx(sum(seconds))  # 4 iterations of 4 of 16 images


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(59.4, "59.4 s"), (90, "1 min 30 s"), (119.9, "1 min 59 s"), (3600, "1 h 0 min"), (9300, "2 h 35 min")],
)
def test_duration(seconds: float, text: str) -> None:
    """Minutes are whole ones that went by: 90 s are 1 min 30 s."""
    outcome = Outcome("finished", Path(), 1, None, {}, epochs_done=1.0, wall_s=seconds)
    assert f"time: {text} in all" in outcome.to_text()
