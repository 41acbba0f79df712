# SPDX-License-Identifier: Apache-2.0
"""``pydarknet detect`` on videos, live sources and two networks, as people call it."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import run
from made_results import frames_of
from web_camera import WebCamera

import pydarknet
from pydarknet.cli.detect import FORMATS
from pydarknet.engine import selftest
from pydarknet.system import extras


@pytest.fixture
def network(tiny_files: tuple[Path, Path]) -> list[object]:
    """Options of the self-test's network; it finds something in what is bright."""
    cfg, weights = tiny_files
    return ["--cfg", cfg, "--weights", weights, "--precision", "fp32", "--threads", 1]


Detect = Callable[..., tuple[int, str, str]]


@pytest.fixture
def detect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], network: list, tmp_path: Path
) -> Detect:
    """Runs the command in an empty folder; exit code, stdout, stderr."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def call(*arguments: object) -> tuple[int, str, str]:
        code = run(monkeypatch, "detect", *network, *arguments)
        return code, *capsys.readouterr()

    return call


def test_a_video_with_everything(detect: Detect, video: Callable[..., Path]) -> None:
    """60 frames in, 60 out, in the video and in every format."""
    formats = [f"--to={name}" for name in FORMATS]
    code, out, err = detect(
        video("video.mp4"), "--out", "found.mp4", *formats, "--thresh", 0, "--sheet", "sheet.jpg"
    )
    assert (code, err) == (0, "")
    frames = frames_of(Path("found.mp4"))
    assert len(frames) == 60
    assert frames[0].shape == (120, 160, 3)
    assert len(Path("detections.jsonl").read_text().splitlines()) == 60
    assert len(json.loads(Path("detections.json").read_text())) == 60
    assert len(list(Path("labels").iterdir())) == 60
    assert len(Path("submission.csv").read_text().splitlines()) == 61
    objects = [one["objects"] for one in map(json.loads, Path("detections.jsonl").read_text().splitlines())]
    assert sum(map(len, objects)) > 0
    assert len(json.loads(Path("coco_results.json").read_text())) == sum(map(len, objects))
    assert len(Path("detections.csv").read_text().splitlines()) == 1 + sum(map(len, objects))
    assert cv2.imread("sheet.jpg") is not None
    assert "60 frames in" in out
    assert "video in found.mp4" in out
    assert {path.name for path in Path().iterdir()} == {
        "found.mp4", "detections.json", "detections.jsonl", "detections.csv", "coco_results.json", "labels",
        "submission.csv", "sheet.jpg", "tasks.json", "annotations.xml",
    }  # fmt: skip


def test_the_summary_as_json(detect: Detect, video: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"bad")
    code, out, err = detect(video(frames=10), tmp_path / "bad.jpg", "--json", "--no-pictures", "--every", 2)
    summary = json.loads(out)
    assert code == 1
    assert (summary["frames"], summary["failed"]) == (5, 1)
    assert summary["fps"] > 0
    assert summary["written"] == [f"detections in {Path('predictions') / 'detections.json'}"]
    assert "bad.jpg: cannot be decoded" in err


def test_jsonl_on_stdout_is_all_there_is_on_it(detect: Detect, video: Callable[..., Path]) -> None:
    code, out, err = detect(video(frames=3), "--no-pictures", "--to", "jsonl=-", "--frames", 2)
    assert code == 0
    assert [json.loads(line)["frame"] for line in out.splitlines()] == [0, 1]
    assert "2 frames in" in err


def test_a_log_gets_a_line_now_and_then(
    detect: Detect, video: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pydarknet.cli._impl.detect._SECONDS_BETWEEN_LINES", 0.0)
    code, _, err = detect(video(frames=5), "--no-pictures")
    assert code == 0
    assert re.fullmatch(r"(\d/5 frames, [\d.]+ fps\n)+", err)
    assert "5/5 frames" in err


@pytest.mark.skipif(sys.platform == "win32", reason="pipes are POSIX here")
def test_a_reader_that_has_enough_ends_the_run(network: list, video: Callable[..., Path]) -> None:
    words = [sys.executable, "-m", "pydarknet", "detect", *map(str, network), str(video(frames=3000))]
    child = subprocess.Popen(
        [*words, "--no-pictures", "--to", "jsonl=-"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert child.stdout is not None
        assert child.stderr is not None
        assert json.loads(child.stdout.readline())["frame"] == 0
        child.stdout.close()
        assert child.wait(timeout=60) == 0
        err = child.stderr.read()
        assert err.splitlines()[0].startswith(tuple("123456789"))
        assert "Error" not in err
        assert int(err.split()[0]) < 3000
        child.stderr.close()
    finally:
        child.kill()


def test_darknet_order_and_classes(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    tiny_files: tuple[Path, Path],
    tmp_path: Path,
) -> None:
    cv2.imwrite(str(tmp_path / "x.png"), np.full((64, 64), 255, np.uint8))
    tiny_files[1].with_suffix(".names").write_text("thing\n")  # found, since it lies beside the weights
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "detect", *tiny_files, "x.png", "--classes", "thing", "--thresh", 0.1) == 0
    out = capsys.readouterr().out
    assert "thing (" in out
    assert re.search(r"^thing: \d+%$", out, re.MULTILINE)
    assert run(monkeypatch, "detect", *tiny_files, "x.png", "--classes", "think") == 1
    assert (
        "found class 'think', which the network does not have; did you mean 'thing'?"
        in capsys.readouterr().err
    )
    tiny_files[1].with_suffix(".names").write_text("thing\nother\n")
    assert run(monkeypatch, "detect", *tiny_files, "x.png", "--thresh", 0.1) == 0
    out = capsys.readouterr().out
    assert re.search(r"^0: \d+%$", out, re.MULTILINE)
    assert "tiny.weights, but the network has 1 classes; the names are not used" in caplog.text
    assert run(monkeypatch, "detect", *tiny_files) == 2
    assert "Missing argument 'SOURCE...'" in capsys.readouterr().err


def test_crops_labels_and_drawing(detect: Detect, tmp_path: Path) -> None:
    image = np.full((64, 64, 3), 255, np.uint8)
    cv2.imwrite(str(tmp_path / "x.png"), image)
    pictures = []
    for options in ([], ["--hide-conf"], ["--hide-labels"], ["--line-width", 5]):
        code, _, _ = detect(
            tmp_path / "x.png", "--thresh", 0.1, "--crops", "--save-labels", "--out", "o.png", *options
        )
        assert code == 0
        pictures.append(cv2.imread("o.png"))
    for i, picture in enumerate(pictures):
        assert all(not np.array_equal(picture, other) for other in pictures[i + 1 :])
    assert len(Path("labels/x.txt").read_text().splitlines()) == len(list(Path("crops/0").iterdir())) > 0


def test_a_live_source(detect: Detect) -> None:
    with WebCamera(fps=40) as camera:
        code, out, _ = detect(camera.url, "--frames", 10, "--to", "jsonl", "--out", "live", "--json")
    summary = json.loads(out)
    assert (code, summary["frames"]) == (0, 10)
    assert 0 < summary["latency_ms"]["p50"] <= summary["latency_ms"]["max"]
    assert summary["dropped"] >= 0
    assert len(Path("live/detections.jsonl").read_text().splitlines()) == 10
    (path,) = Path("live").glob("*.mp4")
    assert len(frames_of(path)) >= 5


def test_a_lost_source_keeps_what_was_found(detect: Detect) -> None:
    with WebCamera(fps=40) as camera:
        url = camera.url
        camera.limit = 20
        camera.refuse = True
        code, _, err = detect(url, "--patience", 1, "--to", "jsonl", "--no-pictures")
    assert code == 1
    assert "no frame for 1 seconds" in err
    assert 1 <= len(Path("predictions/detections.jsonl").read_text().splitlines()) <= 20


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX here")
def test_ctrl_c_ends_cleanly(network: list, tmp_path: Path) -> None:
    """In the middle of a live source: videos and records are complete, and the code is 130."""
    with WebCamera(fps=30) as camera:
        child = subprocess.Popen(
            [sys.executable, "-m", "pydarknet", "detect", *map(str, network), camera.url, "--to", "jsonl",
             "--out", str(tmp_path / "out"), "--http", "0"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert child.stderr is not None
            line = child.stderr.readline()
            assert line.startswith("watch at http://127.0.0.1:")
            url = line.split()[2]
            seen = set()
            while len(seen) < 3:  # with the third frame, the first is in all outputs
                with urllib.request.urlopen(url + "frame.json", timeout=60) as answer:
                    frame = json.loads(answer.read())
                assert frame["width"] == 160
                seen.add(frame["frame"])
            os.kill(child.pid, signal.SIGINT)
            out, err = child.communicate(timeout=60)
        finally:
            child.kill()
    assert (child.returncode, err) == (130, "")
    assert "frames in" in out
    lines = (tmp_path / "out" / "detections.jsonl").read_text().splitlines()
    assert lines
    assert all(json.loads(line) for line in lines)
    (path,) = (tmp_path / "out").glob("*.mp4")
    assert frames_of(path)


def test_opencv_does_not_speak_between_the_lines(network: list) -> None:
    """A camera that is not there is reported once, in the words of the command."""
    words = [sys.executable, "-m", "pydarknet", "detect", *map(str, network), "99", "--patience", "0.5"]
    own = {name: value for name, value in os.environ.items() if not name.startswith("OPENCV")}
    done = subprocess.run(words, capture_output=True, text=True, env=own, check=False)
    assert done.returncode == 1
    assert re.fullmatch(
        r"(camera99: no image: .*\n)?error: no frame for 0\.5 seconds; camera99: .*\n", done.stderr
    )


def test_two_networks_on_one_video(
    detect: Detect, video: Callable[..., Path], tiny_files: tuple[Path, Path]
) -> None:
    cfg, weights = tiny_files
    other = cfg.with_name("other.weights")
    data = bytearray(weights.read_bytes())
    data[20 : 20 + 4] = np.float32(-3.0).tobytes()  # another bias
    other.write_bytes(data)
    code, out, err = detect(
        "--compare", weights, other, video("video.mp4"), "--out", "both.mp4", "--thresh", 0.1
    )
    assert (code, err) == (0, "")
    frames = frames_of(Path("both.mp4"))
    assert (len(frames), frames[0].shape) == (60, (120, 320, 3))
    rows = list(csv.DictReader(Path("differences.csv").read_text().splitlines()))
    assert len(rows) == 60
    assert all(int(row["objects_a"]) == int(row["both"]) + int(row["only_a"]) for row in rows)
    assert "of 60 frames differ in their objects" in out
    assert "first difference" not in out


def test_two_cfgs_with_the_same_weights(
    detect: Detect, tiny_files: tuple[Path, Path], tmp_path: Path
) -> None:
    cfg, _ = tiny_files
    other = cfg.with_name("other.cfg")
    other.write_text(selftest.CFG.replace("activation=leaky", "activation=relu"))
    cv2.imwrite(str(tmp_path / "x.png"), (np.arange(16, dtype=np.uint8) * 17).reshape(4, 4))
    code, out, _ = detect("--compare", cfg, other, tmp_path / "x.png")
    assert code == 0
    assert "first difference: layer 0 (by " in out
    assert "other.cfg:7 [convolutional]" in out
    assert cv2.imread("predictions/x.jpg").shape == (4, 8, 3)
    code, out, _ = detect("--compare", cfg, cfg.with_name("tiny.cfg"), tmp_path / "x.png", "--json")
    assert "first_difference" not in json.loads(out)  # it is one and the same


def test_an_engine_gives_the_same(
    detect: Detect, tmp_path: Path, levels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Detections of workers equal those of this process, a broken image included."""
    monkeypatch.setitem(extras._OWN, ("pydarknet.executors", "here"), "pydarknet.data.executors:local")
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    for number in range(5):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.roll(levels, number, axis=1))
    (tmp_path / "3.png").write_bytes(b"no image")
    seen = []
    for engine in ("local", "here"):
        code, out, err = detect(
            tmp_path / "*.png", "--batch", 2, "--thresh", 0.3, "--engine", engine, "--json"
        )
        assert code == 1
        assert "3.png: cannot be decoded" in err
        assert json.loads(out)["frames"] == 4
        seen.append(Path("predictions/detections.json").read_text())
    assert seen[0] == seen[1]
    assert seen[0].count('"class_id"') > 0


def test_tiles(detect: Detect, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "x.png"), np.full((128, 128), 255, np.uint8))
    counts = []
    for options in ([], ["--tile", "64"], ["--tile", "64x128", "--overlap", 0]):
        code, out, _ = detect(tmp_path / "x.png", "--thresh", 0.1, "--json", *options)
        assert code == 0
        counts.append(json.loads(out)["objects"])
    assert counts[1] > counts[0] > 0


def test_tracking(detect: Detect, video: Callable[..., Path]) -> None:
    pytest.importorskip("trackers")
    code, _, _ = detect(
        video(frames=20), "--thresh", 0, "--track", "bytetrack", "--to", "csv", "--no-pictures"
    )
    assert code == 0
    rows = list(csv.DictReader(Path("predictions/detections.csv").read_text().splitlines()))
    assert rows
    assert all(row["track_id"].lstrip("-").isdigit() for row in rows)


@pytest.mark.parametrize(
    ("source", "library", "extra"),
    [("https://youtu.be/abc", "yt_dlp", "youtube"), ("screen", "mss", "screen")],
)
def test_sources_that_need_an_extra_name_it(
    detect: Detect, monkeypatch: pytest.MonkeyPatch, source: str, library: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    code, _, err = detect(source)
    assert code == 1
    assert f"run: pip install 'pydarknet[{extra}]'" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--to", "xml", "x.jpg"], 2, "'xml' is not one of darknet, jsonl, csv"),
        (["--to", "csv=", "x.jpg"], 2, "'csv=' has no file after '='"),
        (["--http", "nowhere", "x.jpg"], 1, "found address 'nowhere', expected a port"),
        (["--tile", "8", "x.jpg"], 1, "found tiles of 8x8 pixels, expected 16 or more"),
        (["rtsp://h/s", "x.jpg"], 2, "live sources and files cannot be combined"),
        (["rstp://h/s"], 1, "unknown kind of URL rstp://"),
        (["gone.mp4"], 1, "gone.mp4: cannot be read: No such file"),
        (["--names", "gone.yaml", "x.jpg"], 1, "gone.yaml: cannot be read"),
        (["--engine", "ray", "0"], 1, "camera0: is not an image file; --engine spreads image files only"),
        (["--every", "0", "x.jpg"], 2, "0 is not in the range"),
        (["--lien-width", "2", "x.jpg"], 2, "No such option '--lien-width'"),
    ],
)
def test_wrong_usage(detect: Detect, arguments: list[str], code: int, message: str) -> None:
    found, _, err = detect(*arguments)
    assert (found, message in err) == (code, True), err
    assert not Path("predictions").exists() or not list(Path("predictions").iterdir())


def test_a_foreign_library_beside_our_engine(
    detect: Detect, shared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Our own library, by its Darknet interface, stands for one built upstream: it finds the same."""
    nets, picture = shared / "fixtures" / "nets", shared / "fixtures" / "images" / "dog.jpg"
    network = [
        nets / "yolo-fastest-1.1.cfg",
        nets / "yolo-fastest-1.1.weights",
        "--names",
        nets / "coco.names",
    ]
    compared = [network[1], pydarknet.libdarknet_path()]
    assert run(monkeypatch, "detect", *network, picture, "--compare", *compared, "--thresh", 0.4) == 0
    (row,) = csv.DictReader(Path("predictions/differences.csv").read_text().splitlines())
    assert int(row["both"]) >= 2
    assert row["only_a"] == row["only_b"] == "0"
    assert abs(float(row["confidence_change"])) < 0.03  # bf16 against fp32
    assert "first difference" not in capsys.readouterr().out
