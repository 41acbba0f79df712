# SPDX-License-Identifier: Apache-2.0
"""Inputs that once ended a command with a traceback: each is a message now, or is read."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import run

from pydarknet.data.formats import FORMATS

DEEP = "[" * 50_000
LONG = "n" * 300


@pytest.fixture(autouse=True)
def _inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_files: tuple[Path, Path]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("folder").mkdir()
    Path("label_2/train").mkdir(parents=True)
    Path("label_2/train/1.txt").write_text("Car 0 0 0 1 1 5 5 0 0 0 0 0 0 0\n")
    Path("data.yaml").write_text(DEEP)
    Path("deep.jsonl").write_text(f'{DEEP}\n{{"iteration": 1, "loss": 2}}\n')
    Path("cr.csv").write_text("iteration,loss\r1,2\r2,1\r")
    Path("bad.csv").write_text("iteration,loss\ninf,2\nnan,3\n1e400,4\n")
    Path("quote.csv").write_text("iteration,loss\n1," + "9" * 200_000 + "\n")
    Path("names").write_text("a\n")
    Path("list.txt").write_text(f"{LONG}.png\n")
    Path("root.txt").write_text("/\n")
    Path("long.data").write_text(f"train = list.txt\nnames = {LONG}\nclasses = 1\n")
    Path("root.data").write_text("train = root.txt\nnames = names\nclasses = 1\n")
    Path("zero.cfg").write_text("[net]\nbatch=0\nwidth=4\nheight=4\nchannels=1\n[softmax]\n")
    cv2.imwrite("a.png", np.zeros((4, 4), np.uint8))
    (Path("1e999.json")).write_text(coco("1e999"))
    (Path("huge.json")).write_text(coco("1" + "0" * 30))
    damaged_archives()


def coco(category: str) -> str:
    image = '{"id": 1, "file_name": "a.png", "width": 4, "height": 4}'
    one = '{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2]}'
    bad = one.replace('"category_id": 1', f'"category_id": {category}')
    return f'{{"images": [{image}], "annotations": [{one}, {bad}], "categories": [{{"id": 1, "name": "a"}}]}}'


def damaged_archives() -> None:
    content = "".join(f"0 .5 .5 .5 .{number}\n" for number in range(9999)).encode()
    with zipfile.ZipFile("bad.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/x.txt", "0 .5 .5 .5 .5\n" * 1000)
    with tarfile.open("bad.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("a/x.txt")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    for name, place in (("bad.zip", 45), ("bad.tar.gz", 60)):
        data = bytearray(Path(name).read_bytes())
        data[place : place + 15] = b"\xff" * 15
        Path(name).write_bytes(data)


DETECT = "detect tiny.cfg tiny.weights"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "convert label_2/train/1.txt --from kitti --out o",
            "1.txt: cannot be read as kitti: Not a directory",
        ),
        ("convert data.yaml --from yolov5 --out o", "data.yaml: nested too deeply"),
        (f"{DETECT} --names data.yaml a.png", "data.yaml: is not a YAML mapping"),
        ("weights info /dev/zero", "/dev/zero: cannot read the weights: is a device; expected a file"),
        ("log advise /dev/zero", "/dev/zero: cannot read the log: is a device"),
        (f"{DETECT} --names /dev/zero a.png", "/dev/zero: cannot be read: is a device"),
        (f"{DETECT} /dev/zero", "/dev/zero: cannot be read: is a device"),
        ("convert huge.json --out o", "annotation 2: category_id is 1000000"),
        ("convert 1e999.json --out o", "annotation 2: cannot convert float infinity to integer"),
        ("cfg retune zero.cfg --batch 8", "zero.cfg:2 [net] batch: found 0, expected at least 1"),
        ("convert list.txt --from darknet --out o", "File name too long"),
        ("convert long.data --out o", "File name too long"),
        ("convert root.data --out o", "/: cannot be read"),
        ("convert bad.zip --out o", "bad.zip: cannot be unpacked: Error -3 while decompressing"),
        ("convert bad.tar.gz --out o", "bad.tar.gz: "),
        (f"{DETECT} bad.zip", "bad.zip: contains no image"),
        ("log advise bad.csv", "bad.csv: holds no iteration"),
        ("log advise quote.csv", "quote.csv:1: is not CSV: field larger than field limit"),
    ],
)
def test_a_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    assert run(monkeypatch, *line.split()) == 1
    out, err = capsys.readouterr()
    assert message in out + err
    assert "Traceback" not in out + err


@pytest.mark.parametrize("name", FORMATS)
def test_a_folder_without_annotations(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert run(monkeypatch, "convert", "folder", "--from", name, "--out", "o", "--jobs", 1) == 1
    err = capsys.readouterr().err.strip().splitlines()
    assert err[0].startswith("error: ")
    assert "folder: no " in err[0] or "no image was found" in err[0] or "expected" in err[0]


@pytest.mark.parametrize("log", ["cr.csv", "deep.jsonl"])
def test_a_log_that_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], log: str
) -> None:
    assert run(monkeypatch, "log", "advise", log) == 0
    assert "iterations, 0 images" in capsys.readouterr().out


def test_anchors_of_a_set_with_boxes_of_no_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """Boxes set aside have class -1; they are no objects, and no reason to fail."""
    Path("list.txt").write_text("a.png\n")
    Path("a.txt").write_text("0 .5 .5 .5 .5\n0 .25 .25 .25 .25\n-1 .5 .5 .2 .2\n")
    Path("set.data").write_text("classes = 1\ntrain = list.txt\nnames = names\n")
    line = "detector calc_anchors set.data -num_of_clusters 2 -width 32 -height 32"
    assert run(monkeypatch, *line.split()) == 0
    assert Path("anchors.txt").read_text().split(",")[0].strip() == "8.0000"


def test_a_home_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile("good.zip", "w") as archive:
        archive.writestr("a/x.txt", "0 .5 .5 .5 .5\n")
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/cache")
    assert run(monkeypatch, "convert", "good.zip", "--out", "o") == 1
    assert "cannot be written: Not a directory; set XDG_CACHE_HOME" in capsys.readouterr().err


def test_detections_of_files_whose_names_are_not_utf8(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], levels: np.ndarray
) -> None:
    """Names in files and names of files: the network, the image, the folder written."""
    for old, new in (("tiny.cfg", "\udcff.cfg"), ("tiny.weights", "\udcff.weights")):
        Path(old).rename(new)
    cv2.imwrite("x.png", levels)
    Path("x.png").rename("x\udcff.png")
    formats = [word for name in ("jsonl", "csv", "coco", "darknet", "yolo") for word in ("--to", name)]
    line = ["detect", "\udcff.cfg", "\udcff.weights", "x\udcff.png", "--out", "o\udcff", "--crops", *formats]
    assert run(monkeypatch, *line) == 0
    assert Path("o\udcff/crops").is_dir()
    assert '"source": "x\\udcff.png"' in Path("o\udcff/detections.jsonl").read_text("utf-8")
    assert "x\\udcff.png,0," in Path("o\udcff/detections.csv").read_text("utf-8")
    assert "1 image in o\\udcff" in capsys.readouterr().out


def test_images_of_a_data_set_whose_names_are_not_utf8(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lists are UTF-8, so that these images are left out, with a report."""
    for name in ("x\udcff", "y"):
        (Path("folder") / f"{name}.png").write_bytes(Path("a.png").read_bytes())
        (Path("folder") / f"{name}.txt").write_text("0 .5 .5 .5 .5\n")
    (Path("folder") / "classes.txt").write_text("a\n")
    assert run(monkeypatch, "convert", "folder", "--out", "o", "--jobs", "1") == 1
    assert "x\\udcff.png: the name is not UTF-8; rename it (encoding, dropped)" in capsys.readouterr().out
    assert [Path(line).name for line in Path("o/train.txt").read_text().splitlines()] == ["y.png"]
    os.fsencode("x\udcff")  # what the test is about
