# SPDX-License-Identifier: Apache-2.0
"""A training from outside: its files, its ends, its errors."""

from __future__ import annotations

import csv
import json
import os
import re
from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapes
from helpers import run
from shapes import StopAt

from pydarknet import TrainConfig
from pydarknet.cfg import CfgFile, walk
from pydarknet.cli.train import command
from pydarknet.errors import ArgumentError, CfgError, DataError, NonFinite, WeightsError
from pydarknet.logs.load import load as load_log
from pydarknet.training import EXIT_CODES, Hook, Step, checkpoint, train
from pydarknet.training.loop import TrainingLoop
from pydarknet.weights import load as load_weights
from pydarknet.weights.arrays import arrays


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    """Twelve iterations of a very small network."""
    data, cfg = shapes.data_set(tmp_path / "ds"), shapes.cfg(tmp_path, 12)
    return TrainConfig(cfg, data, out=tmp_path / "run", threads=1, force=True, plots=False)


def parameters(path: Path, cfg: Path) -> dict[tuple[int, str], np.ndarray]:
    """Arrays of a weights file by layer and name."""
    nodes = walk(CfgFile.load(cfg))
    return {
        (node.index, name): values.copy() for node, name, values in arrays(load_weights(path).values, nodes)
    }


def test_the_run_folder(config: TrainConfig) -> None:
    """All documented files exist and agree with each other."""
    outcome = train(
        replace(
            config, map_every=5, last_every=4, save_every=4, keep="best,last,2", dump_batches=1, plots=True
        )
    )
    folder = outcome.folder
    names = {path.name for path in folder.iterdir()}
    assert names >= {"run.json", "shapes.cfg", "shapes.names", "results.csv", "results.jsonl", "train.log"}
    assert names >= {"chart.png", "preflight.json", "train_batch0.jpg", "weights"}
    assert "lock" not in names
    kinds = {path.name.removeprefix("shapes_") for path in (folder / "weights").iterdir()}
    states = {"last.state", "last.weights", "best.weights", "best.json", "final.weights"}
    assert kinds == states | {"8.weights", "12.weights"}
    assert outcome.weights["final"].read_bytes() == outcome.weights["last"].read_bytes()
    assert load_weights(outcome.weights["final"]).header.seen == 12 * 4
    table = json.loads((folder / "run.json").read_text())
    assert table["result"]["reason"] == "finished"
    assert table["config"]["cfg"] == str(config.cfg)
    assert cv2.imread(str(folder / "chart.png")) is not None
    assert (folder / "shapes.names").read_text().split() == list(shapes.NAMES)


def test_the_log_in_darknets_grammar(config: TrainConfig) -> None:
    """Our parser of Darknet's logs reads it back: iterations, rates, mAP, heads, saves; the ETA ends at 0."""
    outcome = train(replace(config, map_every=5))
    log = load_log(outcome.folder / "train.log")
    rows = list(csv.DictReader((outcome.folder / "results.csv").read_text().splitlines()))
    assert [row.iteration for row in log.iterations] == list(range(1, 13))
    assert log.max_batches == 12
    assert log.batch == 4
    assert log.damaged == 0
    for parsed, row in zip(log.iterations, rows, strict=True):
        assert parsed.loss == pytest.approx(float(row["loss"]), abs=1e-6)
        assert parsed.avg_loss == pytest.approx(float(row["avg_loss"]), abs=1e-6)
        assert parsed.rate == pytest.approx(float(row["rate"]), rel=1e-4)
        assert parsed.images == 4 * parsed.iteration
    assert log.iterations[-1].hours_left == 0
    assert [e.iteration for e in log.evaluations] == [5, 10, 12]
    assert [e.map for e in log.evaluations] == pytest.approx(
        [float(r["map"]) for r in rows if r["map"]], abs=1e-5
    )
    assert len(log.heads) == 12 * 2
    assert (12, str(outcome.weights["final"])) in log.saved
    text = (outcome.folder / "train.log").read_text()
    assert len(re.findall("hours left", text)) == 24
    average = float(rows[0]["loss"])
    for row in rows[1:]:
        average = 0.9 * average + 0.1 * float(row["loss"])
    assert average == pytest.approx(float(rows[-1]["avg_loss"]), rel=1e-6)


def test_rate_follows_the_schedule(config: TrainConfig) -> None:
    """Burn-in to the fourth power, then steps: what the log shows is Darknet's formula."""
    outcome = train(config)
    rates = [row.rate for row in load_log(outcome.folder / "train.log").iterations]
    expected = [
        0.01 * min(n / 5, 1) ** 4 * (0.1 if n >= 9 else 1) * (0.1 if n >= 10 else 1) for n in range(1, 13)
    ]
    assert rates == pytest.approx(expected, rel=1e-3)


def test_hooks_see_everything_in_order(config: TrainConfig) -> None:
    """start, before and after each step, evaluations in between, end; states go into checkpoints."""
    seen: list[str] = []

    class Witness(Hook):
        name = "witness"

        def start(self, training: TrainingLoop) -> None:
            seen.append("start")

        def before_step(self, training: TrainingLoop) -> None:
            seen.append("before")

        def after_step(self, training: TrainingLoop, step: Step) -> None:
            seen.append(f"after {step.iteration} {len(step.paths)}")

        def evaluated(self, training: TrainingLoop, report: object) -> None:
            seen.append("evaluated")

        def end(self, training: TrainingLoop, reason: str) -> None:
            seen.append(f"end {reason}")

        def state(self) -> dict[str, object]:
            return {"count": len(seen)}

        def load_state(self, state: dict[str, object]) -> None:
            seen.append(f"loaded {state['count']}")

    train(config, [Witness(), StopAt(2)])
    assert seen == ["start", "before", "after 1 4", "before", "after 2 4", "end signal"]
    seen.clear()
    train(replace(config, map_every=1), [Witness(), StopAt(3)])
    assert seen == ["loaded 6", "start", "before", "evaluated", "after 3 4", "end signal"]


def test_it_learns(config: TrainConfig) -> None:
    """Sixty iterations halve the loss."""
    outcome = train(replace(config, max_batches=60, map_every=0))
    rows = load_log(outcome.folder / "train.log").iterations
    assert np.mean([r.loss for r in rows[-10:]]) < 0.5 * np.mean([r.loss for r in rows[:5]])
    assert outcome.best is None


def test_non_finite_stops(config: TrainConfig) -> None:
    """A rate of 1e8 ends within a few iterations, with the layer, the images and finite saved weights."""
    with pytest.raises(NonFinite, match=r"iteration \d+: .*layer|iteration \d+: .*\[convolutional\]"):
        train(replace(config, settings=("learning_rate=1e8", "burn_in=0"), last_every=1, max_batches=30))
    words = json.loads((Path(config.out) / "crash.json").read_text())
    assert words["reason"] == "non-finite"
    assert words["iteration"] < 10
    assert words["batch"]
    assert all(Path(path).is_file() for sample in words["batch"] for path in sample)
    assert words["gradient_norm"]
    saved = Path(config.out) / "weights/shapes_last.weights"
    assert not saved.exists() or np.isfinite(load_weights(saved).values).all()


def test_freeze(config: TrainConfig) -> None:
    """Frozen layers keep their bits, the others move."""
    first = train(replace(config, out=Path(config.out).with_name("first")), [StopAt(2)])
    start = parameters(first.weights["last"], Path(config.cfg))
    config = replace(config, weights=first.weights["last"], freeze="2", clear=True, max_batches=20)
    outcome = train(config)
    end = parameters(outcome.weights["last"], Path(config.cfg))
    for (layer, name), values in start.items():
        if "rolling" not in name:
            assert (values == end[layer, name]).all() == (layer < 2), (layer, name)


def test_freeze_backbone_of_yolov4_tiny() -> None:
    """The backbone of yolov4-tiny is what yolov4-tiny.conv.29 holds."""
    from pydarknet.cfg import yolov4_tiny
    from pydarknet.training.effective_cfg import backbone

    assert backbone(yolov4_tiny(classes=3)) == 29


def test_weights_of_another_class_count(config: TrainConfig, tmp_path: Path) -> None:
    """Layers before the heads are new, all others come from the file; this is reported."""
    (tmp_path / "one").mkdir()
    single = shapes.cfg(tmp_path / "one", 12, classes=1)
    data = shapes.data_set(tmp_path / "one/ds")
    for label in (tmp_path / "one/ds").rglob("*[0-9].txt"):
        label.write_text("".join("0" + line[1:] for line in label.read_text().splitlines(True)))
    (tmp_path / "one/ds/obj.names").write_text("thing\n")
    data.write_text(data.read_text().replace("classes=3", "classes=1"))
    donor = train(
        TrainConfig(single, data, out=tmp_path / "one/run", threads=1, force=True, plots=False),
        [StopAt(12)],
    )
    told: list[str] = []
    start: dict[tuple[int, str], np.ndarray] = {}

    class Look(Hook):
        def start(self, training: TrainingLoop) -> None:
            training.trainer.network.save_weights(tmp_path / "begin.weights")
            start.update(parameters(tmp_path / "begin.weights", Path(config.cfg)))

    train(replace(config, weights=donor.weights["final"]), [Look(), StopAt(1)], notify=told.append)
    assert any(
        "3 of 4 layers with weights loaded; 1 before the heads keep the rows of boxes and objectness, "
        "of no class; new: square, disc, triangle; forgotten: thing" in line
        for line in told
    )
    for key, values in parameters(donor.weights["final"], single).items():
        if key[0] < 3:
            assert (values == start[key]).all()
    old = parameters(donor.weights["final"], single)
    assert (start[3, "biases"].reshape(2, 8)[:, :5] == old[3, "biases"].reshape(2, 6)[:, :5]).all()


def test_weights_of_another_network(config: TrainConfig, tmp_path: Path) -> None:
    """A file that fits nowhere is refused."""
    (tmp_path / "bad.weights").write_bytes(np.array([0, 2, 5, 0, 0], "<i4").tobytes() + bytes(4 * 1001))
    with pytest.raises(WeightsError, match="belongs to another network, or is incomplete"):
        train(replace(config, weights=tmp_path / "bad.weights"))


def test_partial_weights(config: TrainConfig) -> None:
    """A cut file loads as far as it goes."""
    first = train(config, [StopAt(1)])
    from pydarknet.weights.tools import partial

    cut = Path(config.out).with_name("shapes.conv.2")
    partial(load_weights(first.weights["last"]), walk(CfgFile.load(config.cfg)), cut, 2)
    told: list[str] = []
    train(
        replace(config, weights=cut, out=Path(config.out).with_name("two")),
        [StopAt(1)],
        notify=told.append,
    )
    assert "shapes.conv.2: 2 of 5 layers loaded, the rest is new" in told


def test_preflight_stops(config: TrainConfig) -> None:
    """Errors of the preflight stop the training before it begins, unless forced."""
    with pytest.raises(DataError, match=r"the preflight found errors \(--force trains anyway\)(.|\n)*L-08"):
        train(replace(config, force=False))
    assert (Path(config.out) / "preflight.json").is_file()
    assert not (Path(config.out) / "run.json").exists()


def test_class_counts_must_agree(config: TrainConfig) -> None:
    """Three names for two classes are an error before anything is trained."""
    cfg = shapes.cfg(Path(config.cfg).parent, 12, classes=2)
    with pytest.raises(DataError, match=r"has 3 class names, .* has classes=2"):
        train(replace(config, cfg=cfg))


def test_settings_of_the_user(config: TrainConfig) -> None:
    """Size, batch, subdivisions, rate and --set stand in the cfg of the run; epochs give its length."""
    config = replace(
        config, size=(64, 32), batch=6, subdivisions="3", lr=0.002, settings=("hue=0",), epochs=1.5
    )
    told: list[str] = []
    outcome = train(config, [StopAt(1)], notify=told.append)
    net = CfgFile.load(outcome.folder / "shapes.cfg").net
    assert [net.text(k) for k in ("width", "height", "batch", "subdivisions")] == ["64", "32", "6", "3"]
    assert net.number("learning_rate") == 0.002
    assert net.number("hue") == 0
    assert net.integer("max_batches") == 4  # 1.5 · 16 images / 6
    assert "max_batches 12 -> 4" in told


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": ("hues=1",)}, "no key 'hues'; did you mean 'hue'"),
        ({"size": (50, 48)}, "width 50 is not a multiple of 8; take 48 or 56"),
        ({"subdivisions": "3"}, "batch 4 cannot be cut into 3 equal subdivisions"),
        ({"freeze": "9"}, "cannot freeze 9 layers; the network has 5"),
    ],
)
def test_settings_that_cannot_be(config: TrainConfig, change: dict[str, object], message: str) -> None:
    """Wrong values name the right ones."""
    with pytest.raises((CfgError, ArgumentError), match=message):
        train(replace(config, **change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 1.0, "max_batches": 3}, "give one"),
        ({"epochs": 0.0}, "found epochs=0"),
        ({"subdivisions": "many"}, "expected a number or 'auto'"),
        ({"freeze": "some"}, "expected a number of layers or 'backbone'"),
        ({"settings": ("hue",)}, "expected KEY=VALUE"),
        ({"keep": "first"}, "expected words of: best, last, all, a number"),
    ],
)
def test_config_refuses(change: dict[str, object], message: str) -> None:
    """The settings are checked when they are made."""
    with pytest.raises(ArgumentError, match=message):
        TrainConfig("a.cfg", "a.data", **change)


def test_config_survives_json() -> None:
    """Settings written to run.json are read back."""
    config = TrainConfig("/a.cfg", "/a.data", size=(32, 64), settings=("hue=1",), epochs=2.0)
    assert TrainConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_patience(config: TrainConfig) -> None:
    """Evaluations that bring nothing end the training; the first, before statistics settle, do not count."""
    outcome = train(replace(config, lr=1e-9, map_every=1, patience=2, max_batches=50))
    assert outcome.reason == "early-stop"
    assert outcome.iteration <= 8


def test_ema_is_written(config: TrainConfig) -> None:
    """With ema_alpha the averaged weights stand beside, and differ from the last."""
    outcome = train(
        replace(config, settings=("ema_alpha=0.9",), max_batches=1050, batch=2, size=(32, 32)),
        [StopAt(600)],
    )
    ema, last = (load_weights(outcome.weights[kind]).values for kind in ("ema", "last"))
    assert len(ema) == len(last)
    assert np.isfinite(ema).all()
    assert 0 < np.abs(ema - last).max() < 1


def test_one_option_for_each_setting() -> None:
    """The command line has exactly the fields of TrainConfig, and what concerns this start alone."""
    options = {parameter.name for parameter in command.params}
    options.discard("verbose")  # every command has it once one was called
    assert options == {field.name for field in fields(TrainConfig)} | {
        *("resume_", "rerun_", "estimate_"),
        *("quiet", "as_json", "processes", "devices"),
        *("model", "name", "project", "save_period", "hyp"),
    }


def test_the_help_lists_every_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--help names each stop reason with its code."""
    assert run(monkeypatch, "train", "--help") == 0
    text = capsys.readouterr().out
    for reason, code in EXIT_CODES.items():
        line = next(
            line
            for line in text.splitlines()
            if re.search(rf"\b{reason}\b", line) and line.strip()[0].isdigit()
        )
        assert line.split()[0] == str(code)


def test_exit_codes(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each end has its code."""
    common = ["train", "--cfg", config.cfg, "--data", config.data, "--threads", 1, "--quiet"]
    out = ["--out", config.out]
    assert run(monkeypatch, *common, *out) == 3
    assert "--force" in capsys.readouterr().err
    assert run(monkeypatch, *common, *out, "--force", "--max-hours", "1e-9") == 6
    assert run(monkeypatch, *common, *out, "--force", "--seed", 3) == 1
    assert "another seed (0, not 3)" in capsys.readouterr().err
    end = Path(config.out).with_name("end")
    assert (
        run(
            monkeypatch,
            "train",
            "--resume",
            config.out,
            "--quiet",
            "--on-end",
            f'echo $PYDARKNET_REASON > "{end}"',
        )
        == 6
    )
    assert end.read_text() == "time-limit\n"
    assert run(monkeypatch, "train", "--resume", config.out, "--max-hours", 1, "--quiet") == 0
    assert run(monkeypatch, *common, *out, "--force") == 0
    assert "nothing to do" in capsys.readouterr().out
    nan = [
        "--out",
        Path(config.out).with_name("nan"),
        "--force",
        "--set",
        "learning_rate=1e8",
        "--set",
        "burn_in=0",
    ]
    assert run(monkeypatch, *common, *nan, "--max-batches", 40) == 5
    assert run(monkeypatch, "train", "--data", config.data) == 2
    assert run(monkeypatch, "train", "--resume", config.out, "--clear") == 2


def test_numbered_folders(config: TrainConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without --out runs are numbered; an unfinished one is continued by the same settings."""
    monkeypatch.chdir(tmp_path)
    config = replace(config, out=None)
    assert train(config, [StopAt(2)]).folder == Path("runs/shapes-1")
    again = train(config, [StopAt(5)])
    assert (again.folder, again.iteration) == (Path("runs/shapes-1"), 5)
    assert train(replace(config, seed=1), [StopAt(1)]).folder == Path("runs/shapes-2")


def test_bad_images_do_not_end_a_run(config: TrainConfig) -> None:
    """A truncated image is named and left out; the run finishes."""
    victim = next((Path(config.data).parent / "train").glob("*3.png"))
    victim.write_bytes(victim.read_bytes()[:200])
    told: list[str] = []
    assert train(config, notify=told.append).reason == "finished"
    assert any("1 images could not be read" in line and victim.name in line for line in told)


def test_shared_memory_is_left_alone(config: TrainConfig) -> None:
    """Containers have a tiny /dev/shm: a training neither maps, opens nor leaves anything there."""
    maps = Path("/proc/self/maps")
    if not maps.is_file():
        pytest.skip("this system has no /proc")

    def used() -> set[str]:
        opened = "\n".join(os.path.realpath(link) for link in Path("/proc/self/fd").iterdir())
        return {line for line in (maps.read_text() + opened).splitlines() if "/dev/shm" in line}

    before, during = used(), set()

    class Look(Hook):
        def after_step(self, training: TrainingLoop, step: Step) -> None:
            during.update(used())

    train(replace(config, workers=2), [Look(), StopAt(3)])
    assert during <= before


def test_checkpoint_is_one_file_with_everything(config: TrainConfig) -> None:
    """Parameters, momentum, counters and the states of the hooks come back from one file."""
    outcome = train(config, [StopAt(3)])
    found = checkpoint.load(outcome.folder / "weights/shapes_last.state")
    assert (found.trainer["iteration"], found.trainer["seen"]) == (3, 12)
    kinds = {name.split("/")[0] for name in found.trainer["arrays"]}
    assert kinds >= {"parameters", "gradients"}
    assert found.meta["training"]["boxes"] > 0
