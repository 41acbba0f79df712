# SPDX-License-Identifier: Apache-2.0
"""From labels to a trained network, by commands alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import shapes
from helpers import run

from pydarknet import Network
from pydarknet.data import read, write


@pytest.mark.slow
def test_from_labels_to_a_trained_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """convert, stats, view, split, cfg new, check, train, detect: each reads the output of the one before."""
    write(read(shapes.data_set(tmp_path / "shapes", 20, 4)), tmp_path / "voc", format="voc")

    def command(*words: object, code: int = 0) -> None:
        assert run(monkeypatch, *words) == code, words

    command(
        "convert", tmp_path / "voc", "--names", ",".join(shapes.NAMES), "--out", tmp_path / "ds", "--jobs", 1
    )
    command("data", "stats", tmp_path / "ds", "--size", 64, "--out", tmp_path / "stats")
    command("data", "view", tmp_path / "ds", "--sheet", tmp_path / "sheet.png")
    command("data", "split", tmp_path / "ds", "--ratios", "0.75,0.25", "--out", tmp_path / "split")
    data, cfg = tmp_path / "split/obj.data", tmp_path / "shapes.cfg"
    command(
        *("cfg", "new", "--model", "yolov4-tiny", "--data", data, "--size", 64, "--anchors", "auto"),
        *("--batch", 4, "--max-batches", 600, "--out", cfg),
    )
    command("check", cfg, "--data", data, code=1)  # so short a training is worth a warning
    command("train", "--cfg", cfg, "--data", data, "--out", tmp_path / "run", "--max-hours", 1e-6, code=6)
    command("train", "--resume", tmp_path / "run", "--max-batches", 2, "--max-hours", 1)
    weights = tmp_path / "run/weights/shapes_final.weights"
    with Network(tmp_path / "run/shapes.cfg", weights, names=tmp_path / "run/shapes.names") as network:
        assert network.names == shapes.NAMES
        network.detect(str(tmp_path / "shapes/valid/valid0.png"))


@pytest.mark.parametrize("form", ["yolov5", "coco", "voc"])
def test_any_format_trains(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, form: str) -> None:
    """--data takes what `convert` reads: data.yaml, COCO, VOC."""
    write(read(shapes.data_set(tmp_path / "shapes", 8, 2)), tmp_path / form, format=form)
    data = tmp_path / form / "data.yaml" if form == "yolov5" else tmp_path / form
    words = ["train", "--cfg", shapes.cfg(tmp_path, 2), "--data", data, "--out", tmp_path / "run", "--quiet"]
    assert run(monkeypatch, *words, "--force", "--threads", 1) == 0
    names = (tmp_path / "run/shapes.names").read_text().split()
    assert sorted(names) == sorted(shapes.NAMES)
    if form == "yolov5":
        assert tuple(names) == shapes.NAMES
