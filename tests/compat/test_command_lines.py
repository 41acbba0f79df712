# SPDX-License-Identifier: Apache-2.0
"""``pydarknet detector ...`` takes Darknet's command lines and prints its lines."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import run
from trained_model import Model

from pydarknet import Detections
from pydarknet.cli._impl.detector import object_lines

# What Darknet's `detector test -thresh 0.3 -ext_output` prints for dog.jpg follows from its JSON.
OBJECT = re.compile(
    r"(?P<name>.+): (?P<percent>\d+)%\t"
    r"\(left_x: +(-?\d+)   top_y: +(-?\d+)   width: +(\d+)   height: +(\d+)\)"
)


@pytest.fixture
def files(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.chdir(tmp_path)
    return [model.data, model.cfg, model.weights]


def test_detector_test_prints_darknets_lines(
    files: list[Path], model: Model, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image = model.image("dog")
    flags = ["-thresh", 0.3, "-dont_show", "-ext_output", "-i", "-1"]
    assert run(monkeypatch, "detector", "test", *files, image, *flags) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [" Detection layer: 121 - type = 28 ", " Detection layer: 130 - type = 28 "]
    assert re.fullmatch(rf"{re.escape(str(image))}: Predicted in \d+\.\d{{6}} milli-seconds\.", lines[2])
    found = [OBJECT.fullmatch(line) for line in lines[3:]]
    boxes = {}
    for class_id, confidence, x, y, w, h in model.expected("dog", 0.3):
        place = [(x - w / 2) * 768, (y - h / 2) * 576, w * 768, h * 576]
        boxes[model.names[int(class_id)]] = (place, confidence)
    assert [match["name"] for match in found] == sorted(boxes, key=lambda name: boxes[name][0][0])
    for match in found:
        place, confidence = boxes[match["name"]]
        np.testing.assert_allclose([int(value) for value in match.groups()[2:]], place, atol=1.5)
        assert abs(int(match["percent"]) - 100 * confidence) <= 1.5
    assert cv2.imread("predictions.jpg").shape == (576, 768, 3)


def test_paths_come_from_standard_input(
    files: list[Path], model: Model, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Flags stand anywhere; a bad image does not end the rest; JSON and labels are written."""
    image = Path("photo.jpg")
    image.write_bytes(model.image("dog").read_bytes())
    Path("photo.txt").write_text("by hand\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"photo.jpg\ngone.jpg\n\nphoto.jpg\n")))
    words = ["-thresh", 0.5, files[0], "-save_labels", *files[1:], "-out", "found.json"]
    assert run(monkeypatch, "detector", "test", *words) == 1
    out, err = capsys.readouterr()
    assert out.count("Enter Image Path: ") == 5
    assert "gone.jpg: cannot be read" in err
    records = json.loads(Path("found.json").read_text())
    assert [(record["frame_id"], record["filename"]) for record in records] == [
        (1, "photo.jpg"),
        (2, "photo.jpg"),
    ]
    expected = model.expected("dog", 0.5)
    assert {entry["class_id"] for entry in records[0]["objects"]} == set(expected[:, 0])
    rows = np.loadtxt("photo.txt")
    rows = rows[np.argsort(rows[:, 0])]
    np.testing.assert_allclose(rows, expected[np.argsort(expected[:, 0])][:, [0, 2, 3, 4, 5]], atol=0.003)
    assert Path("photo.txt.orig").read_text() == "by hand\n"


def test_a_wrong_number_of_names_is_reported_and_made_to_fit(
    files: list[Path], model: Model, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A class called dont_show... is found, but not shown."""
    names = ["dont_show person", "dont_show bicycle", *model.names[2:16]]
    Path("few.names").write_text("\n".join(names) + "\n")
    Path("few.data").write_text("classes=80\nnames=few.names\n")
    image = model.image("dog")
    assert run(monkeypatch, "detector", "test", "few.data", *files[1:], image, "-thresh", 0.5) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.match(
        r" Error: in the file .*few\.names number of names 16 that isn't equal to classes=80", lines[0]
    )
    assert [line.split(":")[0] for line in lines[-2:]] == ["16", "car"]  # the dog has no name


def many(boxes: int) -> Detections:
    """Boxes from right to left: the first has a hidden class only, the others three classes each."""
    corners = np.repeat([[10 * i, i, 10 * i + 8, i + 8] for i in range(boxes, 0, -1)], 3, axis=0)
    return Detections(
        np.concatenate([[[0, 0, 5, 5]], corners]).astype(np.float32),
        np.array([1, *boxes * [0.5, 0.9, 0.4]], np.float32),
        np.array([3, *boxes * [0, 1, 2]]),
        ("dog", "cat", "cow", "dont_show fox"),
    )


def test_a_box_lists_its_best_class_first() -> None:
    lines = ["cat: 90%", "dog: 50%", "cow: 40%"]
    assert object_lines(many(2), False) == 2 * lines
    places = [OBJECT.fullmatch(line).groups()[2:] for line in object_lines(many(2), True)]
    assert places == 3 * [("10", "1", "8", "8")] + 3 * [("20", "2", "8", "8")]


def test_the_work_grows_with_the_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are made once, as this takes all rows: a network of random weights finds 100,000."""
    calls = []
    made = Detections.labels.fget
    monkeypatch.setattr(Detections, "labels", property(lambda self: calls.append(1) or made(self)))
    object_lines(many(1), False)
    few = len(calls)
    object_lines(many(100), False)
    assert len(calls) == 2 * few


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["test", "-treshold", "0.3"], "no such flag: -treshold. Did you mean -thresh?"),
        (["test", "-foo"], "no such flag: -foo."),
        (["test", "--thresh", "0.3"], "no such flag: --thresh. Did you mean -thresh?"),
        (["test", "-thresh", "2"], "2.0 is not in the range"),
        (["test", "a.data"], "Missing argument 'CFG'"),
        (
            ["demo", "a", "b", "c", "-json_port", "8070"],
            "-json_port is not supported here; see --http in pydarknet detect --help",
        ),
        (["calc_anchors", "-num", "9"], "no such flag: -num. Did you mean -num_of_clusters?"),
        (["tset"], "No such command 'tset'. Did you mean 'test'?"),
    ],
)
def test_wrong_usage(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "detector", *words) == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (("-i", "-1"), 1, "gone.data: file not found"),
        (("-i", "99"), 1, "note: -i 99: "),
        (("-gpu", "99"), 1, "note: -gpu is not a flag of Darknet; read as -i"),
        (("-gpus", "99,98", "-i", "-1"), 1, "; computing on the CPU\nerror: gone.data: file not found"),
        (("-i", "two"), 2, "-i two: found device 'two', expected auto, cpu, cuda or cuda:N"),
    ],
)
def test_gpu_flags_choose_the_device(
    flags: tuple[str, ...],
    code: int,
    message: str,
    files: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, "detector", "test", "gone.data", *files[1:], *flags) == code
    assert message in capsys.readouterr().err


def video(path: Path, pixels: np.ndarray, frames: int) -> None:
    height, width = pixels.shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (width, height))
    for _ in range(frames):
        writer.write(pixels)
    writer.release()


def test_demo_goes_through_a_video(
    files: list[Path], model: Model, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    video(Path("in.avi"), model.pixels("dog"), 3)
    flags = [
        "-out_filename",
        "out.avi",
        "-json_file_output",
        "o.json",
        "-prefix",
        "f",
        "-dont_show",
        "-thresh",
        0.5,
    ]
    assert run(monkeypatch, "detector", "demo", *files, "in.avi", *flags) == 0
    out = capsys.readouterr().out
    assert len(re.findall(r"\nFPS:\d+\.\d \t AVG_FPS:\d+\.\d\nObjects:\n\n", out)) == 3
    assert out.count("dog: 9") == 3
    capture = cv2.VideoCapture("out.avi")
    frames = 0
    while capture.read()[0]:
        frames += 1
    assert frames == 3
    assert [record["frame_id"] for record in json.loads(Path("o.json").read_text())] == [1, 2, 3]
    assert sorted(path.name for path in Path().glob("f_*.jpg")) == [f"f_0000000{i}.jpg" for i in (1, 2, 3)]


def test_demo_without_a_video(
    files: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "detector", "demo", *files, "gone.avi", "-out_filename", "out.avi") == 1
    assert "gone.avi: cannot be read: No such file" in capsys.readouterr().err
    assert not Path("out.avi").exists()
