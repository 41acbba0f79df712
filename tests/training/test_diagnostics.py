# SPDX-License-Identifier: Apache-2.0
"""Runtime diagnostics: each finding is reported where it should be, and only there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapes

from pydarknet import Network, TrainConfig
from pydarknet.cfg import CfgFile, walk
from pydarknet.engine.trainer import LossReport
from pydarknet.evaluation.evaluation import Evaluation
from pydarknet.logs import load as load_log
from pydarknet.training import Hook, Step, train
from pydarknet.training.diagnostics import Diagnostics
from pydarknet.training.loop import LoopConfig, TrainingLoop
from pydarknet.training.validation_loss import ValidationLoss
from pydarknet.weights import load as load_weights
from pydarknet.weights import save as save_weights
from pydarknet.weights.arrays import arrays


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    data, cfg = shapes.data_set(tmp_path / "ds"), shapes.cfg(tmp_path, 12)
    return TrainConfig(cfg, data, out=tmp_path / "run", threads=1, force=True, plots=False)


def findings(folder: Path | str | None) -> list[dict[str, Any]]:
    text = (Path(str(folder)) / "findings.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def rules(folder: Path | str | None) -> list[str]:
    return [finding["rule"] for finding in findings(folder)]


# -- D-01


def test_constants_for_weights(config: TrainConfig) -> None:
    """A network that detects everything everywhere is reported, and is not kept as the best."""

    class Ruin(Hook):
        def before_step(self, training: TrainingLoop) -> None:
            if training.iteration == 3:
                state = training.trainer.state()
                for name, values in state["arrays"].items():
                    if name == "parameters/3/biases":
                        values.reshape(2, 8)[:, 4:] = 30
                    if name.startswith("gradients"):
                        values[:] = 0
                training.trainer.load_state(state)

    cfg = Path(str(config.cfg))  # without batch norm, whose statistics need time to settle
    cfg.write_text(cfg.read_text().replace("batch_normalize=1\n", ""))
    outcome = train(replace(config, max_batches=4, lr=1e-9, map_every=2), [Ruin()])
    (found,) = (finding for finding in findings(config.out) if finding["rule"] == "D-01")
    assert found["iteration"] == 4
    assert found["hint"].endswith("need some hundred iterations to settle: evaluate later.")
    assert "the detections are saturated" in (outcome.folder / "train.log").read_text()
    assert json.loads((outcome.folder / "weights/shapes_best.json").read_text())["iteration"] == 2
    newest = json.loads((outcome.folder / "evaluation.json").read_text())
    assert (newest["iteration"], newest["saturated"], newest["best"]) == (4, True, False)
    assert (outcome.folder / "train.log").read_text().count("New best mAP!") == 1
    log = load_log(outcome.folder)
    assert [(e.iteration, e.saturated) for e in log.evaluations] == [(2, False), (4, True)]


# -- D-02


def test_new_heads_are_quiet(config: TrainConfig) -> None:
    """Random heads begin where the formula says: a quarter for each box."""
    train(replace(config, map_every=0))
    assert rules(config.out) == []


@pytest.mark.parametrize("kind", ["ciou", "mse"])
def test_new_heads_with_a_normaliser_are_quiet(config: TrainConfig, kind: str) -> None:
    """The effect of obj_normalizer on the first loss depends on the box loss."""
    settings = (f"yolo.iou_loss={kind}", "yolo.obj_normalizer=4")
    train(replace(config, map_every=0, settings=settings, max_batches=1))
    assert rules(config.out) == []


@pytest.mark.parametrize(("loss", "speaks"), [(8.9, True), (9.1, False), (35.9, False), (36.1, True)])
def test_loss_of_new_heads(config: TrainConfig, loss: float, speaks: bool) -> None:
    """6·6 cells of 2 boxes, a quarter each, are 18: less than half and more than twice that is odd."""
    stage = Stage(Path(str(config.cfg)).parent, config)
    with Network(config.cfg, threads=1) as network:
        stage.trainer, stage.iteration = network.trainer(), 0
        hook = Diagnostics((), "", stage, stage.note)  # type: ignore[arg-type]
        hook.start(stage)  # type: ignore[arg-type]
        hook.after_step(stage, Step(1, loss=loss, size=(48, 48)))  # type: ignore[arg-type]
        hook.end(stage, "finished")  # type: ignore[arg-type]
    found = findings(stage.config.run.path)
    assert [(f["rule"], f["heads"], f["expected"]) for f in found] == [("D-02", "new", 18.0)] * speaks
    if speaks:
        assert found[0]["message"] == f"the loss begins at {loss:.4g}; new heads should begin near 18"


def test_trained_heads(config: TrainConfig) -> None:
    """Trained heads on their own data are quiet; with a loss like that of new ones they are not."""
    place = Path(str(config.out))
    first = train(replace(config, max_batches=150, map_every=0, out=place.with_name("first")))
    again = replace(config, weights=first.weights["last"], clear=True, max_batches=1, map_every=0)
    train(again)
    assert "D-02" not in rules(config.out)
    mild(first.weights["last"], config, place.with_name("strange.weights"))
    train(replace(again, weights=place.with_name("strange.weights"), out=place.with_name("third")))
    found = findings(place.with_name("third"))[0]
    assert (found["rule"], found["heads"]) == ("D-02", "loaded")
    assert "although the weights have trained heads" in found["message"]


def mild(path: Path, config: TrainConfig, out: Path) -> None:
    """A copy of a weights file with heads of low confidence."""
    file, nodes = load_weights(path), walk(CfgFile.load(config.cfg))
    found = arrays(np.array(file.values), nodes)
    save_weights(out, file.header, [v * np.float32(0.01 if n.index == 3 else 1) for n, _, v in found])


def test_heads_of_which_some_classes_are_new_are_not_judged(config: TrainConfig) -> None:
    """A transfer to other classes keeps the rows of boxes and objectness, and costs what new classes cost."""
    place = Path(str(config.out))
    first = train(replace(config, max_batches=2, map_every=0, out=place.with_name("first")))
    file, nodes = load_weights(first.weights["last"]), walk(CfgFile.load(config.cfg))
    found = []
    for node, name, values in arrays(np.array(file.values), nodes):
        if node.index == 3 and name == "biases":
            values.reshape(2, 8)[:, 5:] = 0
        found.append(values)
    save_weights(place.with_name("part.weights"), file.header, found)
    partly = replace(config, weights=place.with_name("part.weights"), clear=True, max_batches=1, map_every=0)
    train(partly)
    assert rules(config.out) == []


def test_the_demo_begins_as_expected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its many digits, each of ten classes, cost as much as the cells of its small input do."""
    from pydarknet.training import demo

    monkeypatch.setattr(demo, "TRAIN", 16)
    monkeypatch.setattr(demo, "VALID", 2)
    data = demo.make_data(tmp_path)
    demo.make_cfg(2400).save(tmp_path / "demo.cfg")
    train(
        TrainConfig(
            tmp_path / "demo.cfg",
            data,
            out=tmp_path / "run",
            max_batches=1,
            plots=False,
            map_every=0,
            force=True,
            threads=1,
        )
    )
    assert rules(tmp_path / "run") == []


# -- D-06


@pytest.mark.parametrize(("gap", "speaks"), [(49, False), (50, True)])
def test_no_object_was_assigned(config: TrainConfig, gap: int, speaks: bool) -> None:
    head = LossReport(3, 1.0, 1.0, 1.0, 0.0, 0.0, 1, 0)
    begun = Step(2, loss=1.0, avg_loss=1.0, heads=[[head]])
    empty = [[replace(head, count=0)], [replace(head, count=0)]]
    steps = [begun, *(replace(begun, iteration=3 + i, heads=empty) for i in range(gap))]
    assert play(config, steps)[0] == ["D-06"] * speaks


# -- D-04 and L-50: the hook alone


class Stage:
    """The attributes of a training that the hook reads."""

    def __init__(self, folder: Path, config: TrainConfig) -> None:
        from pydarknet.runs.folder import RunFolder

        self.config = LoopConfig(config, CfgFile.load(config.cfg), RunFolder(folder), "shapes", 16)
        self.iteration, self.notes = 1, list[str]()
        self.trainer: Any = None

    def note(self, text: str) -> None:
        self.notes.append(text)


def play(config: TrainConfig, steps: Sequence[Step]) -> tuple[list[str], Diagnostics]:
    """The findings for some iterations."""
    stage = Stage(Path(str(config.cfg)).parent, config)
    hook = Diagnostics((), "", stage, stage.note)  # type: ignore[arg-type]
    hook.start(stage)  # type: ignore[arg-type]
    for step in steps:
        stage.iteration = step.iteration
        hook.after_step(stage, step)  # type: ignore[arg-type]
    hook.end(stage, "finished")  # type: ignore[arg-type]
    return rules(stage.config.run.path), hook


def losses(values: Sequence[float]) -> list[Step]:
    return [Step(i, loss=v, avg_loss=v) for i, v in enumerate(values, 2)]


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ([10.0] * 4 + [2.0] * 50 + [6.1] * 9, 1),  # more than threefold: once, however long it lasts
        ([10.0] * 4 + [2.0] * 50 + [6.0] * 9, 0),
        ([0.1] * 4 + [2.0] * 50 + [4.0] * 9, 0),  # the burn-in of 5 does not count
        ([10.0] * 4 + [1.0] + [2.0] * 500 + [5.0], 0),  # the smallest is more than 500 iterations ago
        ([10.0] * 30 + [1.0] + [4.0] * 5 + [2.0] * 5 + [4.0] * 5, 2),  # it recovered in between
        ([10.0] * 4 + [2.0] * 50 + [float("inf")] * 9, 0),
        ([10.0] * 4 + [2.0] * 18 + [7.0], 0),  # an average of too few says nothing
        ([10.0] * 4 + [2.0] * 19 + [7.0], 1),
    ],
)
def test_rising_loss(config: TrainConfig, values: Sequence[float], count: int) -> None:
    """D-04: the average above three times the smallest of the last 500 iterations, after the burn-in."""
    assert play(config, losses(values))[0] == ["D-04"] * count


def test_rising_loss_after_a_stop(config: TrainConfig) -> None:
    """The smallest loss and the reported findings are kept over a stop."""
    _, hook = play(config, losses([2.0] * 50 + [7.0]))
    stage = Stage(Path(str(config.out)), config)
    stage.config.run.path.mkdir()
    again = Diagnostics((), "", stage, stage.note)  # type: ignore[arg-type]
    again.load_state(json.loads(json.dumps(hook.state())))
    again.start(stage)  # type: ignore[arg-type]
    again.after_step(stage, losses([7.0])[0])  # type: ignore[arg-type]
    again.end(stage, "finished")  # type: ignore[arg-type]
    assert stage.notes == []


def waiting(load: float, count: int) -> list[Step]:
    return [Step(i, times={"load": load, "compute": 1 - load}) for i in range(2, count + 2)]


@pytest.mark.parametrize(
    ("load", "count", "expected"), [(0.11, 60, 1), (0.09, 600, 0), (0.9, 40, 0), (0.5, 900, 1)]
)
def test_loader_too_slow(config: TrainConfig, load: float, count: int, expected: int) -> None:
    """L-50: more than a tenth of the time is spent waiting, after 50 iterations, reported once."""
    assert play(config, waiting(load, count))[0] == ["L-50"] * expected
    if expected:
        (found,) = findings(Path(str(config.cfg)).parent)
        assert found["message"] == f"the network waits for images {load:.0%} of the time"
        assert "--cache ram" in found["hint"]


# -- D-05


class Zero(Hook):
    """Evaluations of the validation images that find every object (1) or detect beside them all (0)."""

    def __init__(self, values: Sequence[int]) -> None:
        self.values = list(values)

    def start(self, training: TrainingLoop) -> None:
        measure = shapes.evaluator(training).measure
        assert measure is not None

        def evaluate() -> tuple[Evaluation, ValidationLoss | None]:
            shift = 0 if self.values.pop(0) else 1000
            found = [
                replace(
                    i, boxes=i.truths + shift, scores=np.full(len(i.truths), 0.6), classes=i.truth_classes
                )
                for i in measure()[0].images
            ]
            return Evaluation(found, shapes.NAMES), None

        shapes.evaluator(training).measure = evaluate


def test_map_of_zero(config: TrainConfig) -> None:
    """Two zeros in a row print the usual causes with what was found; one is quiet, and so is a third."""
    outcome = train(replace(config, map_every=2), [Zero([1, 0, 1, 0, 0, 0])])
    (found,) = findings(outcome.folder)
    assert (found["rule"], found["iteration"]) == ("D-05", 10)
    labels = (Path(str(config.data)).parent / "valid").glob("*.txt")
    rows = [line.split() for label in labels for line in label.read_text().splitlines()]
    side = np.median([48 * np.sqrt(float(row[3]) * float(row[4])) for row in rows])
    assert found["causes"] == [
        "  labels: 4 of 4 images have boxes",
        "  training labels: 16 of 16 images have boxes",
        "  training classes: 0, 1, 2 in training, 1, 2 in validation, 3 names",
        "  class ids: 0 objects have a detection, 0 of them with their class",
        "! iterations: 10 of 12 are done, burn-in is 5; too early for a result",
        "! weights: none, the training began with random ones",
        f"  confidence: {len(rows)} detections, up to 0.600",
        f"  size: at 48x48 the objects are {side:.0f} pixels large (median)",
    ]
    log = (outcome.folder / "train.log").read_text()
    assert all(cause in log for cause in found["causes"])


def test_causes_of_a_data_set_with_faults(config: TrainConfig) -> None:
    """Labels that are mostly empty, a class that is never trained, boxes of a few pixels: each is marked."""
    folder = Path(str(config.data)).parent
    for label in sorted((folder / "train").glob("*.txt"))[4:]:
        label.write_text("")
    for label in (folder / "train").glob("*.txt"):
        label.write_text("".join(f"0{line[1:]}\n" for line in label.read_text().splitlines()))
    for label in (folder / "valid").glob("*.txt"):
        label.write_text("1 0.5 0.5 0.1 0.1\n")
    train(replace(config, map_every=2), [Zero([0] * 6)])
    causes = findings(config.out)[-1]["causes"]
    assert causes[:3] == [
        "  labels: 4 of 4 images have boxes",
        "! training labels: 4 of 16 images have boxes",
        "! training classes: 0 in training, 1 in validation, 3 names; not in the training images: 1",
    ]
    assert causes[7] == "! size: at 48x48 the objects are 5 pixels large (median); use a larger input"
