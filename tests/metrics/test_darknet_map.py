# SPDX-License-Identifier: Apache-2.0
"""mAP in Darknet's protocol: by hand, and against reports of ``darknet detector map``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pydarknet import Network
from pydarknet.data import read
from pydarknet.metrics.average_precision import average_precision
from pydarknet.metrics.collect import collect
from pydarknet.metrics.darknet_map import MapReport, darknet_map
from pydarknet.metrics.images import Judged
from pydarknet.training.loader import Images


def image(found: list[tuple[float, float, int]], truths: list[tuple[float, int]]) -> Judged:
    """Boxes of width 10 on a line: detections (x, score, class), truths (x, class)."""

    def corners(xs: list[float]) -> np.ndarray:
        return np.array([(x, 0, x + 10, 10) for x in xs], float).reshape(-1, 4)

    return Judged(
        corners([f[0] for f in found]),
        np.array([f[1] for f in found], np.float32),
        np.array([f[2] for f in found], int),
        corners([t[0] for t in truths]),
        np.array([t[1] for t in truths], int),
    )


def test_by_hand() -> None:
    """Two truths, three detections: right, doubled, right; AP = 1/2 * 1 + 1/2 * 2/3."""
    report = darknet_map([image([(0, 0.9, 0), (1, 0.8, 0), (100, 0.7, 0)], [(0, 0), (100, 0)])], ["a", "b"])
    assert report.classes[0].ap == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert (report.tp, report.fp, report.fn) == (2, 1, 0)
    assert report.map == pytest.approx(report.classes[0].ap / 2)  # the class without truths counts as 0
    assert report.average_iou == pytest.approx((1 + 1) / 3)
    assert report.precision == pytest.approx(2 / 3)
    assert report.recall == 1


def test_a_weak_duplicate_listed_first_makes_the_strong_one_false() -> None:
    """Darknet looks at the order of the list, below the threshold too; AP looks at the scores."""
    report = darknet_map([image([(0, 0.1, 0), (1, 0.9, 0)], [(0, 0)])], ["a"])
    assert (report.tp, report.fp) == (0, 1)
    assert report.classes[0].ap == 1


def test_overlap_must_exceed_the_threshold_and_classes_must_agree() -> None:
    """An IoU of exactly the threshold is no match; nor is a box of another class."""
    half = darknet_map([image([(10 / 3, 0.9, 0)], [(0, 0)])], ["a"], iou_thresh=0.5)
    assert half.map == 0
    assert darknet_map([image([(0, 0.9, 1)], [(0, 0)])], ["a", "b"]).map == 0


@pytest.mark.parametrize(("points", "expected"), [(0, 2 / 3), (11, (6 * 1 + 5 * 0.5) / 11), (101, None)])
def test_points(points: int, expected: float | None) -> None:
    """right, wrong, wrong, right of two truths... and the points of recall by hand."""
    found = average_precision(np.array([True, False, False, True]), 2, points)
    if points == 101:
        expected = (51 * 1 + 50 * 0.5) / 101
    if points == 0:
        expected = 0.5 * 1 + 0.5 * 0.5
    assert found == pytest.approx(expected)


def test_nothing_found_and_nothing_there() -> None:
    """Empty input gives 0, and ratios that do not exist are nan."""
    report = darknet_map([], ["a"])
    assert report.map == 0
    assert math.isnan(report.precision)
    assert "mAP@0.50) = 0.000000" in report.text()
    assert darknet_map([image([], [(0, 0)])], ["a"]).fn == 1


REPORTS = {
    "map.txt": {},
    "mappoints11.txt": {"points": 11},
    "mappoints101.txt": {"points": 101},
    "mapiou_thresh075.txt": {"iou_thresh": 0.75},
    "mapthresh05.txt": {"thresh": 0.5},
}


@pytest.fixture(scope="module")
def detections(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Judged]]:
    """What the reference weights find in the validation images."""
    folder, place = shared / "fixtures/map", tmp_path_factory.mktemp("map")
    images = shared / "data/bccd/JPEGImages"
    lines = (folder / "val.txt").read_text().split()
    for line in lines:
        name = Path(line).name
        (place / name).symlink_to(images / name)
        label = (folder / "labels" / name).with_suffix(".txt")
        (place / label.name).write_bytes(label.read_bytes())
    (place / "val.list").write_text("".join(f"{place / Path(line).name}\n" for line in lines))
    names = (folder / "bccd.names").read_text().split()
    dataset = read(place / "val.list", format="darknet", names=names)
    with Network(folder / "bccd.cfg", folder / "bccd.weights", precision="fp32", strict=False) as network:
        yield collect(network, Images(dataset.samples, 3))


@pytest.mark.slow
@pytest.mark.parametrize("name", REPORTS)
def test_reports_of_darknet(shared: Path, detections: list[Judged], name: str) -> None:
    """AP within half a point for each class, positives within 1 %: images are decoded a bit differently."""
    text = (shared / "fixtures/map" / name).read_text()
    report: MapReport = darknet_map(detections, ["RBC", "WBC", "Platelets"], **REPORTS[name])
    rows = re.findall(r"name = (\w+), ap = ([\d.]+)% .*TP = (\d+), FP = (\d+)", text)
    assert len(rows) == 3
    for ours, (label, ap, tp, fp) in zip(report.classes, rows, strict=True):
        assert ours.name == label
        assert 100 * ours.ap == pytest.approx(float(ap), abs=0.5)
        assert ours.tp == pytest.approx(int(tp), rel=0.01, abs=1)
        assert ours.fp == pytest.approx(int(fp), rel=0.01, abs=2)
    mean = float(re.search(r"mean average precision \(mAP@[\d.]+\) = ([\d.]+)", text)[1])
    assert report.map == pytest.approx(mean, abs=0.005)
    ours = [line for line in report.text().splitlines() if "IoU threshold" in line]
    assert ours[0].strip() in re.sub(r"\n\s*", " ", text)
