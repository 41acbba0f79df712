# SPDX-License-Identifier: Apache-2.0
"""The demo's data are what it says; the whole of it runs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import run
from sklearn.datasets import load_digits

from pydarknet.cfg import walk
from pydarknet.data import read
from pydarknet.training import demo


def test_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ten classes, boxes around ink, the same seed the same images, no touching digits."""
    monkeypatch.setattr(demo, "TRAIN", 20)
    monkeypatch.setattr(demo, "VALID", 5)
    dataset = read(demo.make_data(tmp_path / "a"))
    assert dataset.names == demo.NAMES
    assert [len(dataset.only(split)) for split in ("train", "val")] == [20, 5]
    for sample in dataset:
        assert 1 <= len(sample) <= demo.MOST
        pixels = cv2.imread(str(sample.image), cv2.IMREAD_GRAYSCALE).astype(float)
        for x1, y1, x2, y2 in np.rint(sample.boxes).astype(int):
            around = np.median(pixels)
            assert np.abs(pixels[y1:y2, x1:x2] - around).max() > 60
    demo.make_data(tmp_path / "b")
    pairs = zip(sorted((tmp_path / "a").rglob("*.png")), sorted((tmp_path / "b").rglob("*.png")), strict=True)
    assert all(a.read_bytes() == b.read_bytes() for a, b in pairs)


def test_digits_are_those_of_scikit_learn() -> None:
    """The file holds the data set that scikit-learn ships, too."""
    known = load_digits()
    with np.load(demo.DIGIT_IMAGES) as digits:
        np.testing.assert_array_equal(digits["images"], known.images)
        np.testing.assert_array_equal(digits["labels"], known.target)


def test_training_and_validation_share_no_digit() -> None:
    """The two splits draw from different samples of handwriting."""
    network = walk(demo.make_cfg(100))
    assert network.floats < 1_000_000
    assert {node.section.integer("classes") for node in network if node.type == "yolo"} == {10}


@pytest.mark.slow
def test_the_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A short one: data, training, chart, images, and the next steps."""
    monkeypatch.setattr(demo, "TRAIN", 20)
    monkeypatch.setattr(demo, "VALID", 5)
    out = tmp_path / "demo"
    assert run(monkeypatch, "demo", "--out", out, "--iterations", 10) == 0
    text = capsys.readouterr().out
    assert "mAP@0.5 on validation images" in text
    assert "pydarknet convert YOUR_LABELS" in text
    assert cv2.imread(str(out / "detections.jpg")) is not None
    assert (out / "run/chart.png").is_file()
    findings = out / "run/findings.jsonl"
    assert not findings.exists() or '"D-02"' not in findings.read_text()  # the first loss is as expected
    assert run(monkeypatch, "demo", "--out", out) == 2
    assert "already contains a demo" in capsys.readouterr().err
