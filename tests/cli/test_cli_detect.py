# SPDX-License-Identifier: Apache-2.0
"""``pydarknet detect`` as people call it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import run


@pytest.fixture
def picture(tmp_path: Path, levels: np.ndarray) -> Path:
    """The self-test's image, 100 times as large, so that boxes can be seen on it."""
    path = tmp_path / "in" / "picture.png"
    path.parent.mkdir()
    cv2.imwrite(str(path), np.kron(levels, np.ones((100, 100), np.uint8)))
    return path


def test_pictures_and_json_are_written(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    tiny_files: tuple[Path, Path],
    picture: Path,
) -> None:
    cfg, weights = tiny_files
    names = tmp_path / "x.names"
    names.write_text("thing\n")
    out = tmp_path / "out"
    code = run(
        monkeypatch,
        "detect",
        "--cfg",
        cfg,
        "--weights",
        weights,
        "--names",
        names,
        "--out",
        out,
        "--thresh",
        0.2,
        picture,
    )
    assert code == 0
    (record,) = json.loads((out / "detections.json").read_text())
    assert record["filename"] == str(picture)
    assert {entry["name"] for entry in record["objects"]} == {"thing"}
    drawn = cv2.imread(str(out / "picture.jpg"))
    assert drawn.shape == (400, 400, 3)
    original = cv2.imread(str(picture))
    assert np.abs(drawn.astype(int) - original).max() > 100  # boxes in colour
    printed = capsys.readouterr().out
    assert re.search(r"picture\.png: \d thing \(\d+ ms\)", printed)
    assert "1 image in" in printed
    assert "1 frame in" in printed


def test_an_unreadable_image_is_reported_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    tiny_files: tuple[Path, Path],
    picture: Path,
) -> None:
    cfg, weights = tiny_files
    target = tmp_path / "found.json"
    code = run(
        monkeypatch, "detect", "--cfg", cfg, "--weights", weights, "--out", tmp_path / "out", "--to", f"darknet={target}",
        "--batch", 2, tmp_path / "gone.jpg", picture,
    )  # fmt: skip
    assert code == 1
    assert "gone.jpg: cannot be read: No such file or directory" in capsys.readouterr().err
    assert [record["filename"] for record in json.loads(target.read_text())] == [str(picture)]


def test_equal_names_do_not_overwrite_each_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_files: tuple[Path, Path], picture: Path
) -> None:
    cfg, weights = tiny_files
    other = tmp_path / "other" / "picture.png"
    other.parent.mkdir()
    other.write_bytes(picture.read_bytes())
    assert (
        run(
            monkeypatch,
            "detect",
            "--cfg",
            cfg,
            "--weights",
            weights,
            "--out",
            tmp_path / "out",
            picture,
            other,
        )
        == 0
    )
    assert {path.name for path in (tmp_path / "out").glob("*.jpg")} == {"picture.jpg", "picture_2.jpg"}


def test_the_input_is_never_overwritten(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tiny_files: tuple[Path, Path],
    picture: Path,
) -> None:
    cfg, weights = tiny_files
    jpeg = picture.with_suffix(".jpg")
    cv2.imwrite(str(jpeg), cv2.imread(str(picture)))
    before = jpeg.read_bytes()
    assert run(monkeypatch, "detect", "--cfg", cfg, "--weights", weights, "--out", jpeg.parent, jpeg) == 1
    assert "is the input and would be overwritten" in capsys.readouterr().err
    assert jpeg.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["x.jpg"], 2, "Missing argument 'CFG WEIGHTS' before SOURCE"),
        (["--cfg", "tiny.cfg", "x.jpg"], 2, "Missing option '--weights'; a network with random weights detects nothing"),
        (["tiny.cfg", "yolov5s.pt", "x.jpg"], 2, "found 'yolov5s.pt', weights of another program; expected .weights"),
        (["--cfg", "tiny.cfg", "--weights", "tiny.weights"], 2, "Missing argument '[CFG WEIGHTS | MODEL] SOURCE...'"),
        (["--cfg", "tiny.cfg", "--weights", "tiny.weights", "--thresh", "2", "x.jpg"], 2, "2.0 is not in the range"),
        (["--cfg", "gone.cfg", "--weights", "tiny.weights", "x.jpg"], 1, "error: gone.cfg: cannot open the file"),
        (["--cfg", "tiny.cfg", "--weights", "gone.weights", "x.jpg"], 1, "error: gone.weights: cannot open the file"),
    ],
)  # fmt: skip
def test_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tiny_files: tuple[Path, Path],
    arguments: list[str], code: int, message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tiny_files[0].parent)
    assert run(monkeypatch, "detect", *arguments) == code
    assert message in capsys.readouterr().err
