# SPDX-License-Identifier: Apache-2.0
"""``pydarknet cfg``: what it prints, what it writes, what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from pydarknet import cfg
from pydarknet.cfg import parse
from pydarknet.cfg.generate import training_length
from pydarknet.cfg.memory import training_memory
from pydarknet.cfg.new_cfg import estimated_seconds
from pydarknet.cli.cfg import command
from pydarknet.errors import CfgError, FileError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


@pytest.fixture
def data(folder: Path) -> Path:
    """Eight training and two validation images of 320×240 with boxes of two sizes, three classes."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 8), ("valid", 2)):
        names = []
        for number in range(count):
            image = folder / f"{split}{number}.png"
            cv2.imwrite(str(image), np.zeros((240, 320, 3), np.uint8))
            boxes = [
                f"{i % 3} 0.5 0.5 {rng.uniform(0.05, 0.4):.4f} {rng.uniform(0.05, 0.4):.4f}" for i in range(9)
            ]
            image.with_suffix(".txt").write_text("\n".join(boxes) + "\n")
            names.append(str(image))
        (folder / f"{split}.txt").write_text("\n".join(names) + "\n")
    (folder / "ds.names").write_text("square\ndisc\ntriangle\n")
    path = folder / "ds.data"
    path.write_text("classes=3\ntrain=train.txt\nvalid=valid.txt\nnames=ds.names\n")
    return path


def test_new_writes_what_python_makes(folder: Path) -> None:
    result = run("new", "--model", "yolov4-tiny", "--classes", "3", "--size", "416")
    assert result.exit_code == 0
    assert (folder / "yolov4-tiny.cfg").read_text("utf-8") == str(cfg.yolov4_tiny(classes=3, size=416))
    assert "written: yolov4-tiny.cfg" in result.stderr
    assert "--weights: yolov4-tiny.conv.29 (the first 29 layers" in result.stderr


def test_new_takes_classes_and_images_from_the_data(data: Path) -> None:
    made = parse(run("new", "--model", "yolov4-tiny", "--data", str(data), "-o", "-").stdout)
    assert made.heads[0].integer("classes") == 3
    assert made.net.integer("max_batches") == training_length(3, 8)


def test_anchors_are_measured_on_the_data(data: Path) -> None:
    result = run("new", "--model", "yolov4-tiny", "--data", str(data), "--anchors", "auto", "-o", "-")
    assert "anchors: Change the anchors: mean IoU" in result.stderr
    found = parse(result.stdout).heads
    assert max(found[0].numbers("anchors")) <= 0.4 * 416
    assert [head.integers("mask") for head in found] == [[3, 4, 5], [0, 1, 2]]


def test_anchors_without_data_are_scaled() -> None:
    result = run(
        "new", "--model", "yolov4", "--classes", "1", "--size", "320", "--anchors", "auto", "-o", "-"
    )
    assert parse(result.stdout).heads[0].numbers("anchors")[-2:] == [242, 211]


def test_anchors_come_from_a_file(folder: Path) -> None:
    (folder / "anchors.txt").write_text("50,60, 10,20, 30,40")
    options = ["--classes", "1", "--anchors", "anchors.txt", "-o", "-"]
    found = parse(run("new", "--model", "yolov3", *options).stdout).heads
    assert found[0].numbers("anchors") == [10, 20, 30, 40, 50, 60]
    assert [head.integers("mask") for head in found] == [[2], [1], [0]]


@pytest.mark.parametrize(
    ("model", "size", "hint"),
    [
        (
            "yolov4-tiny",
            "1024",
            "2.5 times that is far off; yolov4-p5 and yolov4-p6 are made for large images",
        ),
        ("yolov4-tiny", "160", "0.38 times that is far off\n"),
        ("yolov4-p6", "320", "0.25 times that is far off; yolov4-tiny is made for small ones"),
        ("yolov4", "416", "anchors up to 459×401 are larger than the input"),
    ],
)
def test_unusual_sizes_get_a_hint(model: str, size: str, hint: str) -> None:
    assert hint in run("new", "--model", model, "--classes", "3", "--size", size, "-o", "-").stderr


def test_a_usual_size_gets_no_hint() -> None:
    assert (
        "hint"
        not in run("new", "--model", "yolov4-tiny", "--classes", "3", "--size", "608", "-o", "-").stderr
    )


def test_the_training_is_fitted_into_the_time() -> None:
    times = ["--fit-hours", "7", "--sec-per-iter", "6.3"]
    result = run("new", "--model", "yolov4", "--classes", "2", "--batch", "24", *times, "-o", "-")
    net = parse(result.stdout).net
    assert net.integer("max_batches") == 4000
    assert net.integers("steps") == [3200, 3600]
    assert "shortened from 6000 to 4000 iterations, 96000 images" in result.stderr
    long = run(
        "new", "--model", "yolov4", "--classes", "2", "--fit-hours", "70", "--sec-per-iter", "6", "-o", "-"
    )
    assert "6000 iterations take 10.0 hours" in long.stderr


def test_the_time_is_estimated_if_it_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pydarknet.cfg.new_cfg.estimated_seconds", lambda _: 0.5)
    result = run("new", "--model", "yolov4-tiny", "--classes", "2", "--fit-hours", "0.5", "-o", "-")
    assert "an iteration takes about 0.5 s here: 3 times a forward pass" in result.stderr
    assert parse(result.stdout).net.integer("max_batches") == 3600


def test_the_estimate_is_the_fastest_of_three_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock says 4, 2 and 3 seconds; forward and backward cost three passes an image."""
    clock = iter([0, 4, 10, 12, 20, 23]).__next__
    monkeypatch.setattr("pydarknet.cfg.new_cfg.time", SimpleNamespace(perf_counter=clock))
    assert estimated_seconds(cfg.yolov4_tiny(2, 64, batch=8)) == 2 * 3 * 8


def test_subdivisions_are_fitted_into_the_memory() -> None:
    options = ["--classes", "2", "--size", "416", "--subdivisions", "auto", "--memory", "8G"]
    result = run("new", "--model", "yolov4-csp", *options, "-o", "-")
    made = parse(result.stdout)
    chosen = made.net.integer("subdivisions")
    assert f"subdivisions: {chosen}, the smallest number that fits into 8 GiB" in result.stderr
    assert training_memory(made).total <= 8 * 2**30 < training_memory(made, 64, chosen // 2).total


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "yolov4-tiny"], "the number of classes is not known; give --classes or --data"),
        (["--model", "yolov5s", "--classes", "3"], "no model is called 'yolov5s'. There"),
        (
            ["--model", "yolov4", "--classes", "3", "--fit-hours", "1", "--sec-per-iter", "9999"],
            "not one iteration of 9999 s fits into 1 hours",
        ),
        (
            ["--model", "yolov4", "--classes", "3", "--subdivisions", "few"],
            "subdivisions is 'few', expected a number",
        ),
        (
            ["--model", "yolov4", "--classes", "3", "--subdivisions", "auto", "--memory", "64M"],
            "not even one image at a time fits into 0.062 GiB",
        ),
    ],
)
def test_impossible_requests_are_refused(folder: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(CfgError, match=message):
        run("new", *arguments)
    assert list(folder.iterdir()) == []


def test_contradicting_classes_are_refused(data: Path) -> None:
    with pytest.raises(CfgError, match=r"--classes is 4, but .*ds\.data has 3 class names"):
        run("new", "--model", "yolov4", "--classes", "4", "--data", str(data))


def test_existing_files_are_kept(folder: Path) -> None:
    (folder / "yolov4-tiny.cfg").write_text("mine")
    options = ["--model", "yolov4-tiny", "--classes", "3"]
    with pytest.raises(FileError, match=r"yolov4-tiny\.cfg: already exists; choose another name with -o"):
        run("new", *options)
    assert (folder / "yolov4-tiny.cfg").read_text() == "mine"
    run("new", *options, "--force")
    assert parse(folder / "yolov4-tiny.cfg").heads


def test_show_prints_darknets_numbers(folder: Path) -> None:
    cfg.yolov4().save(folder / "a.cfg")
    output = run("show", "a.cfg").output
    assert "162 layers: 110 convolutional, 23 shortcut, 21 route, 3 maxpool, 3 yolo, 2 upsample" in output
    assert "weights file 257,717,640 bytes" in output
    assert "128.459 BFLOPs" in output
    assert "  138 convolutional  255 1×1/1 linear" in output
    record = json.loads(run("show", "a.cfg", "--size", "416x320", "--json").output)
    assert record["layers"][139]["output"] == [52, 40, 255]
    assert record["floats"] == 64_429_405


def test_models_lists_the_families() -> None:
    rows = json.loads(run("models", "--json").output)
    assert [row["model"] for row in rows] == list(cfg.FAMILIES)
    assert "yolov4-csp.conv.142" in run("models").output


def test_explain_prints_meanings(folder: Path) -> None:
    (folder / "a.cfg").write_text("[net]\nHeight=3\n[foo]\nx=1\n[yolo]\nmask=1\n")
    output = run("explain", "a.cfg").output
    assert "Unknown; did you mean 'height'?" in output
    assert "0 [foo]  unknown section" in output
    assert "1 [yolo]  Detection head of YOLOv3 and later." in output
    assert "[net]" not in run("explain", "a.cfg", "--section", "yolo").output
    assert "(max = 200)" in run("explain", "a.cfg", "--all", "--section", "yolo").output
    assert json.loads(run("explain", "a.cfg", "--json").output)[0]["line"] == 2


def test_diff_tells_by_its_exit_code(folder: Path) -> None:
    cfg.yolov4_tiny(3).save(folder / "a.cfg")
    cfg.yolov4_tiny(4).save(folder / "b.cfg")
    arguments = [sys.executable, "-m", "pydarknet", "cfg", "diff", "a.cfg"]
    codes = [
        subprocess.run([*arguments, other], capture_output=True, text=True, check=False)
        for other in ("a.cfg", "b.cfg")
    ]
    assert [code.returncode for code in codes] == [0, 1]
    assert "  29 [convolutional] filters: 24 → 27\n" in codes[1].stdout
    assert json.loads(run("diff", "a.cfg", "b.cfg", "--json").output)[0]["key"] == "max_batches"


def test_retune_prints_and_writes(folder: Path) -> None:
    path = folder / "a.cfg"
    cfg.yolov4_tiny(3).save(path)
    before = path.read_text()
    result = run("retune", "a.cfg", "--batch", "32", "--max-batches", "3000")
    assert "  [net] learning_rate: 0.00261 → 0.0013\n" in result.output
    assert "nothing written; add --write, or -o FILE" in result.stderr
    assert path.read_text() == before
    run("retune", "a.cfg", "--max-batches", "3000", "-o", "b.cfg")
    assert parse(folder / "b.cfg").net.integers("steps") == [2400, 2700]
    run("retune", "a.cfg", "--size", "320x256", "--write")
    assert parse(path).net.integer("height") == 256


def test_fix_prints_and_writes(folder: Path) -> None:
    path = folder / "a.cfg"
    path.write_text("[net]\nsubdivision=8\n")
    assert "a.cfg:2: subdivision=8 → subdivisions=8 ('subdivision' is called" in run("fix", "a.cfg").output
    run("fix", "a.cfg", "--write")
    assert path.read_text() == "[net]\nsubdivisions=8\n"
    assert "nothing to fix" in run("fix", "a.cfg").stderr


def test_former_name_of_fix(folder: Path) -> None:
    (folder / "a.cfg").write_text("[net]\n")
    result = CliRunner().invoke(command, ["modernise", "a.cfg"])
    assert result.exit_code == 2
    assert "No such command 'modernise'; it is now called 'fix'." in result.stderr


def test_memory_marks_what_fits(folder: Path) -> None:
    cfg.yolov4_tiny(3).save(folder / "a.cfg")
    lines = run("memory", "a.cfg", "--limit", "1G").output.splitlines()[3:]
    assert [line.split()[0] for line in lines] == ["1", "2", "4", "8", "16", "32", "64"]
    assert lines[0].endswith("too much")
    assert lines[-1].endswith("fits")
    record = json.loads(run("memory", "a.cfg", "--subdivisions", "8", "--json").output)
    [row] = record["training"]
    assert row["total"] == sum(value for key, value in row.items() if key not in ("total", "subdivisions"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["new", "--model", "yolov4", "--set", "momentum"], "'momentum'; write KEY=VALUE"),
        (
            ["new", "--model", "yolov4", "--memory", "lots"],
            "'lots' is not a valid amount of memory; write 6G or 512M",
        ),
        (["show", "none.cfg"], "File 'none.cfg' does not exist"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output
