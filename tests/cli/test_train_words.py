# SPDX-License-Identifier: Apache-2.0
"""Options of train that users of YOLOv5 type: what they become, and what is reported."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from pydarknet.cfg import CfgFile, keys
from pydarknet.cfg.hyp import translate
from pydarknet.cli import cli
from pydarknet.cli import train as train_command
from pydarknet.errors import DataError
from pydarknet.runs.config import TrainConfig

# The published file of YOLOv5 for fine-tuning, with its comments left out: all keys that such a file has.
HYP = """lr0: 0.0032
lrf: 0.12
momentum: 0.843
weight_decay: 0.00036
warmup_epochs: 2.0
warmup_momentum: 0.5
warmup_bias_lr: 0.05
box: 0.0296
cls: 0.243
cls_pw: 0.631
obj: 0.301
obj_pw: 0.911
iou_t: 0.2
anchor_t: 2.91
fl_gamma: 0.0
hsv_h: 0.0138
hsv_s: 0.664
hsv_v: 0.464
degrees: 0.373
translate: 0.245
scale: 0.898
shear: 0.602
perspective: 0.0
flipud: 0.00856
fliplr: 0.5
mosaic: 1.0
mixup: 0.243
copy_paste: 0.0
"""


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[TrainConfig]:
    """The settings with which a training would start."""
    seen: list[TrainConfig] = []
    monkeypatch.setattr(train_command, "train_and_report", lambda config, echo: seen.append(config) or 0)
    return seen


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data.yaml of three classes with two images, below the working directory."""
    monkeypatch.chdir(tmp_path)
    for part in ("train", "valid"):
        (tmp_path / "pets" / part / "images").mkdir(parents=True)
        (tmp_path / "pets" / part / "labels").mkdir()
        cv2.imwrite(str(tmp_path / "pets" / part / "images" / f"{part}.png"), np.zeros((32, 32, 3), np.uint8))
        (tmp_path / "pets" / part / "labels" / f"{part}.txt").write_text("2 0.5 0.5 0.2 0.2\n")
    path = tmp_path / "pets" / "data.yaml"
    path.write_text("train: ../train/images\nval: ../valid/images\nnc: 3\nnames: [cat, dog, cow]\n")
    return path


def run(*words: Any) -> Result:
    return CliRunner().invoke(cli, ["train", *map(str, words)])


def test_words_that_mean_the_same(trained: list[TrainConfig]) -> None:
    words = (
        "--cfg a.cfg --data b.data --img-size 320x256 --batch-size 16 --project p --name n --save-period 5"
    )
    assert run(*words.split(), "--save-period", 5).exit_code == 0
    assert trained[0] == TrainConfig(
        cfg=Path("a.cfg"), data=Path("b.data"), size=(320, 256), batch=16, out=Path("p/n"), save_every="5e"
    )
    assert run("--cfg", "a.cfg", "--data", "b.data", "--imgsz", 416, "--name", "n").exit_code == 0
    assert (trained[1].size, trained[1].out) == ((416, 416), Path("runs/n"))
    assert run("--cfg", "a.cfg", "--data", "b.data", "--save-period", -1).exit_code == 0  # YOLOv5's default
    assert trained[2].save_every is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--name n --out o", "--name and --out set the same; give one"),
        ("--project p --out o", "--project and --out set the same"),
        ("--save-period 2 --save-every 100", "--save-period and --save-every set the same"),
        ("--model yolov4-tiny", "--model and --cfg set the same"),
    ],
)
def test_contradictions(words: str, message: str, trained: list[TrainConfig]) -> None:
    result = run("--cfg", "a.cfg", "--data", "b.data", *words.split())
    assert result.exit_code == 2
    assert message in result.output
    assert not trained


def test_a_model_by_name_makes_its_cfg(trained: list[TrainConfig], data: Path) -> None:
    words = ("--model", "yolov4-tiny", "--data", data)
    result = run(*words, "--size", 96)
    assert result.exit_code == 0, result.output
    path = Path("runs/yolov4-tiny-pets.cfg")  # data.yaml says nothing about the data, its folder does
    assert trained[0].cfg == path
    cfg = CfgFile.load(path)
    assert (cfg.heads[0].integer("classes"), cfg.net.integer("width")) == (3, 96)
    assert f"written: {path}" in result.output

    assert "written" not in run(*words, "--size", 96).output  # again, to resume
    assert trained[1] == trained[0]
    result = run(*words, "--size", 128)
    assert result.exit_code == 2
    assert "differs from the cfg that --model yolov4-tiny makes; use it with --cfg" in result.output

    assert run(*words, "--out", "runs/new").exit_code == 0
    assert trained[2].cfg == Path("runs/new.cfg")
    assert "--model needs --data" in run("--model", "yolov4-tiny").output


def test_hyper_parameters_become_settings_or_are_listed(trained: list[TrainConfig], tmp_path: Path) -> None:
    (tmp_path / "hyp.yaml").write_text(HYP)
    words = ("--cfg", "a.cfg", "--data", "b.data", "--hyp", tmp_path / "hyp.yaml", "--set", "momentum=0.9")
    result = run(*words)
    assert result.exit_code == 0, result.output
    # in order: what the user sets comes after the file and wins
    assert trained[0].settings == (
        "learning_rate=0.0032",
        "momentum=0.843",
        "decay=0.00036",
        "hue=0.0138",
        "saturation=1.664",
        "exposure=1.464",
        "flip=1",
        "mosaic=1",
        "momentum=0.9",
    )
    for line in HYP.splitlines():
        key, _, value = line.partition(": ")
        assert f"  {key} {float(value):g} -> " in result.output, key
    assert "  lr0 0.0032 -> learning_rate=0.0032\n" in result.output
    assert "  shear 0.602 -> not used: Darknet has no such augmentation" in result.output


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("mosaic: 0.0", {"mosaic": "0"}),
        ("mosaic: 0.7", {"mosaic": "1"}),
        ("fliplr: 0", {"flip": "0"}),
        ("fl_gamma: 1.5", {"yolo.focal_loss": "1"}),
        ("label_smoothing: 0.1", {"yolo.label_smooth_eps": "0.1"}),
        ("label_smoothing: 0", {}),
        ("mixup: 0", {}),
        ("lr: 1", {}),
    ],
)
def test_single_hyper_parameters(tmp_path: Path, text: str, settings: dict[str, str]) -> None:
    (tmp_path / "hyp.yaml").write_text(text)
    (one,) = translate(tmp_path / "hyp.yaml")
    assert one.settings == settings
    exact = text in ("mosaic: 0.0", "fliplr: 0", "label_smoothing: 0.1")
    assert bool(one.note) != exact  # every difference is explained


def test_every_key_that_is_set_has_an_effect_in_training(tmp_path: Path) -> None:
    (tmp_path / "hyp.yaml").write_text(HYP + "label_smoothing: 0.1\n")
    for one in translate(tmp_path / "hyp.yaml"):
        for name in one.settings:
            section, _, key = name.rpartition(".")
            known = keys.known(section or "net")[key]
            assert known.use in ("training", "both"), name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "is not a YAML mapping of hyper-parameters"),
        ("a: [", "is not a YAML mapping"),
        ("lr0: fast", "lr0: found 'fast', expected a number"),
        ("lr0: true", "lr0: found True, expected a number"),
        (None, "cannot be read: No such file"),
    ],
)
def test_files_that_are_none(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "hyp.yaml").write_text(text)
    with pytest.raises(DataError, match=message):
        translate(tmp_path / "hyp.yaml")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("--resume", "runs/new"),
        ("--resume runs", "runs/new"),
        ("--resume runs/old", "runs/old"),
        ("--resume runs/old/weights/net_best.weights", "runs/old"),
        ("--resume --max-hours 1", "runs/new"),
    ],
)
def test_the_run_that_resume_means(
    trained: list[TrainConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, meant: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for age, name in ((1, "new"), (2, "old")):
        folder = Path("runs", name)
        (folder / "weights").mkdir(parents=True)
        config = TrainConfig(cfg="net.cfg", data="obj.data").to_json()
        (folder / "run.json").write_text(json.dumps({"config": config, "sessions": []}))
        for file in ("net_best.weights", "net_last.state"):
            (folder / "weights" / file).touch()
            os.utime(folder / "weights" / file, (1e9 - age, 1e9 - age))
    result = CliRunner().invoke(cli, ["train", *words.split()])
    assert [config.out for config in trained] == [Path(meant)]
    assert ("resuming" in result.stderr) == (meant not in words.split())


def test_no_run_to_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(cli, ["train", "--resume"])
    assert "runs: is not a run folder" in str(found.exception)
