# SPDX-License-Identifier: Apache-2.0
"""Lines of YOLO labels with more than six columns, and numbers that are not fractions: never another box."""

from __future__ import annotations

from pathlib import Path

import pytest
from data_files import make_image, make_text, only

from pydarknet import data
from pydarknet.data import Dataset

POSE = "0 0.5 0.5 0.4 0.6 0.35 0.25 2 0.6 0.3 2 0.65 0.7 1 0 0 0\n"
FACES = (
    "0 0.5 0.5 0.2 0.4 0.46 0.42 0.54 0.42 0.5 0.5 0.47 0.58 0.53 0.58\n"
    "0 0.2 0.5 0.1 0.2 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1\n"
)
TRACK = "0 0.5 0.5 0.4 0.6 0.91 17\n"
TRIANGLE = "0 0.1 0.1 0.3 0.1 0.3 0.2\n"
PENTAGON = "0 0.1 0.1 0.3 0.1 0.3 0.2 0.2 0.4 0.1 0.3\n"
TURNED = "0 0.5 0.2 0.7 0.5 0.5 0.8 0.3 0.5\n"  # corners of a rhombus


def darknet(tmp_path: Path, text: str, **options: str) -> Dataset:
    """One image of 200x100 with this label file."""
    make_image(tmp_path / "a.jpg", 200, 100)
    make_text(tmp_path / "a.txt", text)
    make_text(tmp_path / "obj.names", "p\n")
    return data.read(tmp_path, **options)


def ultralytics(tmp_path: Path, text: str, declaration: str) -> Dataset:
    make_image(tmp_path / "images/train/a.jpg", 200, 100)
    make_text(tmp_path / "labels/train/a.txt", text)
    make_text(tmp_path / "data.yaml", f"train: images/train\nnames: [bird]\n{declaration}\n")
    return data.read(tmp_path)


def boxes(dataset: Dataset) -> list[list[float]]:
    return [[round(value, 6) for value in box] for box in dataset[0].boxes.tolist()]


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        (FACES, {}, [[80, 30, 120, 70], [30, 40, 50, 60]]),
        (POSE, {}, [[60, 20, 140, 80]]),
        (TRACK, {}, [[60, 20, 140, 80]]),
        (TRIANGLE + PENTAGON, {}, [[20, 10, 60, 20], [20, 10, 60, 40]]),
        (TURNED, {}, [[60, 20, 140, 80]]),
        (TRIANGLE, {"lines": "polygon"}, [[20, 10, 60, 20]]),
        (TRIANGLE, {"lines": "box"}, [[0, 5, 50, 15]]),
        ("0 0.5 0.5 0.4 0.6 0.9 1\n", {"lines": "track"}, [[60, 20, 140, 80]]),
        ("0 0.5 0.5 0.4 0.6\n" + FACES.splitlines()[1], {}, [[60, 20, 140, 80], [30, 40, 50, 60]]),
    ],
)
def test_long_lines(tmp_path: Path, text: str, options: dict[str, str], expected: list) -> None:
    """The declared or proven meaning; hand values for an image of 200x100."""
    assert boxes(darknet(tmp_path, text, **options)) == expected


@pytest.mark.parametrize(
    ("text", "declaration", "expected"),
    [
        (POSE, "kpt_shape: [4, 3]", [[60, 20, 140, 80]]),
        (TRIANGLE, "task: segment", [[20, 10, 60, 20]]),
        (TURNED, "task: obb", [[60, 20, 140, 80]]),
        (FACES.splitlines()[0], "task: pose", [[80, 30, 120, 70]]),
    ],
)
def test_data_yaml_declares(tmp_path: Path, text: str, declaration: str, expected: list) -> None:
    """``kpt_shape`` and ``task`` decide before any comparison of lines."""
    assert boxes(ultralytics(tmp_path, text, declaration)) == expected


def test_score_of_a_track(tmp_path: Path) -> None:
    scores = darknet(tmp_path, TRACK)[0].scores
    assert scores is not None
    assert scores.tolist() == [0.91]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TRIANGLE, "found 7 columns. If they are polygons, set lines=polygon"),
        (FACES.splitlines()[0], "found 15 columns. If they are polygons"),
        ("0 20 10 60 40", "20 10 60 40 are not fractions of the image (0 to 1); are they pixels?"),
        ("0 0.5 0.5 60 40", "are not fractions"),
        ("0 0,5 0,5 0,2 0,4", "decimal commas in '0 0,5 0,5 0,2 0,4'"),
        ("0;0,5;0,5;0,2;0,4", "decimal commas"),
    ],
)
def test_ambiguous_or_foreign_line(tmp_path: Path, text: str, message: str) -> None:
    """An error with file and line; the image has no box and is not background."""
    dataset = darknet(tmp_path, f"0 0.5 0.5 0.1 0.1\n{text}\n")
    issue = only(dataset, "parse")
    assert (issue.file, issue.line) == (str(tmp_path / "a.txt"), 2)
    assert message in issue.message
    assert boxes(dataset) == [[90, 45, 110, 55]]


def test_wrong_keypoint_count(tmp_path: Path) -> None:
    dataset = ultralytics(tmp_path, POSE, "kpt_shape: [17, 3]")
    assert "expected 5, 6 or 56 columns, found 17" in only(dataset, "parse").message
    assert not len(dataset[0])


def test_track_id_is_not_a_confidence(tmp_path: Path) -> None:
    """The box is certain, the number behind it is not a confidence."""
    dataset = darknet(tmp_path, "0 0.5 0.5 0.4 0.6 17\n")
    assert "column 6 is 17, expected a confidence" in only(dataset, "bad-score").message
    assert boxes(dataset) == [[60, 20, 140, 80]]
    assert dataset[0].scores is None


def test_bad_first_line(tmp_path: Path) -> None:
    """A bad line does not hide the format; it is named."""
    dataset = darknet(tmp_path, "cat 0.5 0.5\n0 0.5 0.5 0.4 0.6\n")
    assert only(dataset, "parse").line == 1
    assert boxes(dataset) == [[60, 20, 140, 80]]
