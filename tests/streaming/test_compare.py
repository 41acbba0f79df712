# SPDX-License-Identifier: Apache-2.0
"""Two networks on the same images."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from pydarknet import Detections, Network
from pydarknet.engine import selftest
from pydarknet.engine.boxes import iou
from pydarknet.streaming.compare import Differences, first_difference, match
from pydarknet.streaming.file_sources import Frame
from pydarknet.streaming.result import Result


def dets(*rows: tuple[float, ...], names: tuple[str, ...] = ("dog", "cat")) -> Detections:
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(int), names, (100, 100))


def test_iou_by_hand() -> None:
    a = np.array([[0, 0, 10, 10], [5, 5, 5, 5]], np.float32)
    b = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]], np.float32)
    np.testing.assert_allclose(iou(a, b), [[1, 50 / 150, 0], [0, 0, 0]])


def test_objects_match_once_by_name_and_overlap() -> None:
    a = dets((0, 0, 10, 10, 0.9, 0), (0, 0, 10, 9, 0.8, 0), (50, 50, 60, 60, 0.7, 1))
    b = dets((0, 0, 10, 10, 0.5, 1), (50, 50, 60, 60, 0.6, 1), (0, 0, 10, 6, 0.6, 1), names=("x", "dog"))
    pairs = match(a, b)
    assert [(pair.a, pair.b) for pair in pairs] == [(0, 0), (1, 2)]
    assert pairs[1].iou == pytest.approx(60 / 90)
    assert match(a, dets()) == match(dets(), b) == []


def test_the_table_of_differences(tmp_path: Path) -> None:
    differences = Differences(str(tmp_path / "d.csv"))
    image = np.zeros((100, 100, 3), np.uint8)
    a, b = dets((0, 0, 10, 10, 0.9, 0), (50, 50, 60, 60, 0.7, 1)), dets((0, 0, 10, 10, 0.65, 0))
    differences.add(Result(Frame(image, "f, 1.mp4", 7, 0.28), a), b)
    differences.add(Result(Frame(image, "f, 1.mp4", 8, 0.32), b), b)
    assert differences.close() == f"1 of 2 frames differ in their objects; see {tmp_path / 'd.csv'}"
    one, two = csv.DictReader((tmp_path / "d.csv").read_text().splitlines())
    assert one == {
        "source": "f, 1.mp4", "frame": "7", "time": "0.280", "objects_a": "2", "objects_b": "1", "both": "1",
        "only_a": "1", "only_b": "0", "mean_iou": "1.0000", "confidence_change": "-0.2500",
        "a": "1 dog, 1 cat", "b": "1 dog",
    }  # fmt: skip
    assert (two["both"], two["only_a"], two["confidence_change"]) == ("1", "0", "0.0000")


@pytest.mark.parametrize(
    ("old", "new", "layer"),
    [
        ("activation=leaky", "activation=relu", 0),
        ("activation=leaky", "activation=logistic", 0),
        ("size=2\nstride=2", "size=2\nstride=1", 1),
        ("activation=linear", "activation=mish", 2),
        ("anchors=2,2", "anchors=3,3", None),  # boxes differ, no layer's output does
        ("width=4", "width=6", -1),
    ],
)
def test_the_first_layer_that_differs(
    tiny_files: tuple[Path, Path], levels: np.ndarray, old: str, new: str, layer: int | None
) -> None:
    cfg, weights = tiny_files
    assert old in selftest.CFG
    other = cfg.with_name("other.cfg")
    other.write_text(selftest.CFG.replace(old, new))
    with Network(cfg, weights, precision="fp32") as a, Network(other, weights, precision="fp32") as b:
        found = first_difference(a, b, levels)
        assert first_difference(a, a, levels) is None
    assert (None if found is None else found.layer) == layer
    if found is not None and layer is not None and layer >= 0:
        assert "tiny.cfg:" in found.a
        assert "other.cfg:" in found.b
        assert found.largest > 0
