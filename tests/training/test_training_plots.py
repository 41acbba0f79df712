# SPDX-License-Identifier: Apache-2.0
"""Plots of a training, errors while drawing, and the page served during the training."""

from __future__ import annotations

import json
import socket
import urllib.request
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import pytest
import shapes

from pydarknet import TrainConfig
from pydarknet.errors import ArgumentError
from pydarknet.training import Hook, train
from pydarknet.training.loop import TrainingLoop


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    """Six iterations of a very small network."""
    data, cfg = shapes.data_set(tmp_path / "ds"), shapes.cfg(tmp_path, 6)
    return TrainConfig(cfg, data, out=tmp_path / "run", threads=1, force=True, map_every=3)


DRAWN = {
    "chart.png",
    "results.png",
    "loss.png",
    "labels.png",
    "confusion.png",
    "pr.png",
    "val_0.jpg",
    "worst.jpg",
}
DRAWN |= {f"train_batch{n}.jpg" for n in range(3)}


def test_plots_and_report(config: TrainConfig) -> None:
    """All of them can be opened, and the report has the stop reason."""
    folder = train(config).folder
    for name in DRAWN:
        assert cv2.imread(str(folder / name)) is not None, name
    header = (folder / "confusion.csv").read_text().splitlines()[0]
    assert header.split(",")[1:] == [*shapes.NAMES, "background"]
    assert (folder / "pr.csv").read_text().startswith("recall,square,disc,triangle")
    report = (folder / "report.html").read_text()
    state = json.loads(report.partition('id="state">')[2].partition("</script>")[0])
    assert (state["kind"], state["reason"]) == ("done", "finished")
    assert {image["name"] for image in state["images"]} >= {
        "labels.png",
        "train_batch0.jpg",
        "val_0.jpg",
    }
    assert state["progress"]["iteration"] == 6
    assert [e["iteration"] for e in state["evaluations"]] == [3, 6]
    beside = json.loads((folder / "evaluation.json").read_text())
    assert (beside["iteration"], beside["map50"]) == (6, state["evaluations"][-1]["map"])


def test_no_plots(config: TrainConfig) -> None:
    folder = train(replace(config, plots=False)).folder
    assert not {path.name for path in folder.iterdir()} & (DRAWN | {"report.html"})


def test_drawing_never_ends_a_run(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure is reported once, and the rest is drawn."""

    def broken(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("no ink")

    monkeypatch.setattr("pydarknet.data.plots.save_labels", broken)
    monkeypatch.setattr("pydarknet.runs.plots.draw_results", broken)
    monkeypatch.setattr("pydarknet.training.plots.EVERY", 0.0)
    monkeypatch.setattr("pydarknet.training.plots.SHARE", 0)
    said: list[str] = []
    outcome = train(config, notify=said.append)
    assert outcome.reason == "finished"
    told = [text for text in said if "cannot be drawn" in text]
    assert sorted(told) == [
        f"{n} cannot be drawn: RuntimeError: no ink" for n in ("labels.png", "results.png")
    ]
    assert (outcome.folder / "chart.png").is_file()


def test_the_page_lasts_as_long_as_the_training(config: TrainConfig) -> None:
    """It shows the run during the training, and ends with it."""
    said: list[str] = []
    seen: list[Any] = []

    class Reader(Hook):
        def before_step(self, training: TrainingLoop) -> None:
            if training.iteration == 4:
                with urllib.request.urlopen(f"{said[0].partition(': ')[2]}state.json") as answer:
                    seen.append(json.load(answer))

    train(replace(config, http="0", plots=False), [Reader()], notify=said.append)
    assert said[0].startswith("live page: http://127.0.0.1:")
    assert seen[0]["kind"] == "running"
    assert seen[0]["progress"]["iteration"] == 4
    assert seen[0]["progress"]["max_batches"] == 6
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(said[0].partition(": ")[2])


def test_a_port_in_use_is_an_error_at_the_start(config: TrainConfig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ArgumentError, match=rf"cannot listen on 127\.0\.0\.1:{port}: .*choose another with --http"
        ):
            train(replace(config, http=str(port)))
    assert not (Path(str(config.out)) / "crash.json").exists()


def test_drawing_takes_a_small_share_of_the_time(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a drawing of a second nothing is drawn for a hundred."""
    now = 0.0
    drawn: list[float] = []

    def slow(*arguments: Any, **options: Any) -> None:
        nonlocal now
        drawn.append(now)
        now += 1.0

    class Minute(Hook):
        def before_step(self, training: TrainingLoop) -> None:
            nonlocal now
            now += 20.0

    monkeypatch.setattr("pydarknet.training.plots.time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr("pydarknet.training.plots._draw_chart", slow)
    monkeypatch.setattr("pydarknet.training.plots._draw_results", lambda *_: None)
    monkeypatch.setattr("pydarknet.training.plots.EVERY", 10.0)
    train(replace(config, max_batches=7), [Minute()])
    # At 20 s, then when 100 s have gone by since its end at 21 s, then at the end of the run.
    assert drawn == [20.0, 121.0, 142.0]
