# SPDX-License-Identifier: Apache-2.0
"""mAP in Darknet's protocol: by hand, and against reports of ``darknet detector map``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judging import line, random_images

from pydarknet import Network
from pydarknet.data import read
from pydarknet.data.album import ImageCache
from pydarknet.evaluation.collect import collect
from pydarknet.evaluation.columns import Columns, Judged
from pydarknet.evaluation.darknet_map import ClassScore, MapReport, darknet_map
from pydarknet.evaluation.evaluation import Evaluation
from pydarknet.evaluation.matching import point


def test_by_hand() -> None:
    """Two truths, three detections: right, doubled, right; AP = 1/2 * 1 + 1/2 * 2/3."""
    report = darknet_map([line([(0, 0.9, 0), (1, 0.8, 0), (100, 0.7, 0)], [(0, 0), (100, 0)])], ["a", "b"])
    assert report.classes[0].ap == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert (report.tp, report.fp, report.fn) == (2, 1, 0)
    assert report.map == pytest.approx(report.classes[0].ap / 2)  # the class without truths counts as 0
    assert report.average_iou == pytest.approx((1 + 1) / 3)
    assert report.precision == pytest.approx(2 / 3)
    assert report.recall == 1


def test_a_weak_duplicate_listed_first_makes_the_strong_one_false() -> None:
    """Darknet looks at the order of the list, below the threshold too; AP looks at the scores."""
    report = darknet_map([line([(0, 0.1, 0), (1, 0.9, 0)], [(0, 0)])], ["a"])
    assert (report.tp, report.fp) == (0, 1)
    assert report.classes[0].ap == 1


def test_overlap_must_exceed_the_threshold_and_classes_must_agree() -> None:
    """An IoU of exactly the threshold is no match; nor is a box of another class."""
    half = darknet_map([line([(10 / 3, 0.9, 0)], [(0, 0)])], ["a"], iou_thresh=0.5)
    assert half.map == 0
    assert darknet_map([line([(0, 0.9, 1)], [(0, 0)])], ["a", "b"]).map == 0


def test_difficult_truths() -> None:
    """A detection that overlaps only a difficult truth is not counted; another truth takes precedence."""
    image = line(
        [(0, 0.9, 0), (1, 0.8, 0), (100, 0.7, 0), (200, 0.6, 0)],
        [(0, 0), (100, 0), (98, 0)],
        difficult=np.array([True, False, True]),
    )
    report = darknet_map([image], ["a"])
    assert (report.tp, report.fp, report.truths) == (1, 1, 1)
    assert report.map == 1


def plainly(images: list[Judged], label: int, thresh: float, iou: float) -> tuple[list[bool], int, int]:
    """Darknet's rules for a class, box by box: the walk, and the counts at the threshold."""
    walk, tp, fp = [], 0, 0
    for number, image in enumerate(images):
        claimed = set()
        for d in range(len(image.scores)):
            best, at, (x1, y1, x2, y2) = iou, -1, image.boxes[d]
            for t, (u1, v1, u2, v2) in enumerate(image.truths):
                width, height = min(x2, u2) - max(x1, u1), min(y2, v2) - max(y1, v1)
                if width <= 0 or height <= 0 or image.classes[d] != image.truth_classes[t]:
                    continue
                areas = (x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1)
                if width * height / (areas - width * height) > best:
                    best, at = width * height / (areas - width * height), t
            if image.classes[d] == label:
                walk.append((-image.scores[d], len(walk), (number, at)))
                if image.scores[d] > thresh:
                    right = at >= 0 and at not in claimed
                    tp, fp = tp + right, fp + (not right)
                claimed.add(at)
    taken, ranked = set(), []
    for *_, truth in sorted(walk):
        ranked.append(truth[1] >= 0 and truth not in taken)
        taken.add(truth)
    return ranked, tp, fp


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(1, 3), iou=st.sampled_from([0.3, 0.5, 0.75]))
def test_equal_to_the_rules(seed: int, classes: int, iou: float) -> None:
    """Counts and area under the curve, with ties of score and of overlap."""
    images = random_images(seed, classes, flags=())
    report = darknet_map(images, [str(i) for i in range(classes)], 0.4, iou)
    for label, row in enumerate(report.classes):
        ranked, tp, fp = plainly(images, label, 0.4, iou)
        assert (row.tp, row.fp) == (tp, fp)
        truths = sum(int((image.truth_classes == label).sum()) for image in images)
        precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
        area = sum(max(precision[i:]) / truths for i, right in enumerate(ranked) if right)
        assert row.ap == pytest.approx(area)


def test_published_numbers() -> None:
    """Reports that others published: precision, recall, F1 and mAP follow from their counts and APs."""
    report = MapReport(
        (ClassScore("head", 0.826, 65119, 14590), ClassScore("person", 0.803, 72055, 11766)),
        614280,
        183365,
        0.6692,
    )
    assert (report.tp, report.fp, report.fn) == (137174, 26356, 46191)
    text = report.text()
    assert " detections_count = 614280, unique_truth_count = 183365  " in text
    assert "class_id = 0, name = head, ap = 82.60%   \t (TP = 65119, FP = 14590) " in text
    assert "precision = 0.84, recall = 0.75, F1-score = 0.79 " in text
    assert "TP = 137174, FP = 26356, FN = 46191, average IoU = 66.92 % " in text
    assert "(mAP@0.50) = 0.814500, or 81.45 % " in text
    aps = (91.33, 88.43, 83.37, 74.77, 65.68, 61.88, 61.47, 52.15, 47.35, 11.86)
    report = MapReport(tuple(ClassScore("", ap / 100, 0, 0) for ap in aps), 0, 0, 0)
    assert f"{report.map:.2f}" == "0.64"
    report = MapReport((ClassScore("", 0.5, 4136, 564),), 0, 8800, 0.7)
    assert "precision = 0.88, recall = 0.47, F1-score = 0.61" in report.text()


def test_the_report_line_for_line(shared: Path) -> None:
    """The counts of a report of ``darknet detector map`` give its lines, byte for byte."""
    rows = (
        ClassScore("RBC", 0.84193, 899, 920),
        ClassScore("WBC", 0.97603, 87, 15),
        ClassScore("Platelets", 0.749692, 69, 71),
    )
    ours = MapReport(rows, 8478, 1138, 0.3915).text().splitlines()
    printed = (shared / "fixtures/map/map.txt").read_text().split("\nSet -points flag")[0].splitlines()
    counted = [row for row in printed if "rank = " not in row]
    assert ours[ours.index(counted[0]) :] == counted


def test_of_two_truths_at_one_place_it_is_the_first() -> None:
    """Rounding of the corners does not decide: the second detection has no truth left in either order."""
    found = [(0, 0.9, 0), (0, 0.8, 0)]
    for shift in (1e-15, 0, -1e-15):
        image = line(found, [(0.1 + shift, 0), (0.1, 0)])
        assert (darknet_map([image], ["a"]).tp, darknet_map([image], ["a"]).fp) == (1, 1)
        assert point(Columns.of([image]), 0.5).truth.tolist() == [0, 0]


def test_nothing_found_and_nothing_there() -> None:
    """Empty input gives 0, and ratios that do not exist are nan."""
    report = darknet_map([], ["a"])
    assert report.map == 0
    assert math.isnan(report.precision)
    assert "mAP@0.50) = 0.000000" in report.text()
    assert darknet_map([line([], [(0, 0)])], ["a"]).fn == 1


REPORTS = {
    "map.txt": {},
    "mappoints11.txt": {"points": 11},
    "mappoints101.txt": {"points": 101},
    "mapiou_thresh075.txt": {"iou_thresh": 0.75},
    "mapthresh05.txt": {"thresh": 0.5},
}


@pytest.fixture(scope="module")
def detections(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Judged]]:
    """Detections of the reference weights in the validation images."""
    folder, place = shared / "fixtures/map", tmp_path_factory.mktemp("map")
    images = shared / "data/bccd/JPEGImages"
    entries = (folder / "val.txt").read_text().split()
    for entry in entries:
        name = Path(entry).name
        (place / name).symlink_to(images / name)
        label = (folder / "labels" / name).with_suffix(".txt")
        (place / label.name).write_bytes(label.read_bytes())
    (place / "val.list").write_text("".join(f"{place / Path(entry).name}\n" for entry in entries))
    names = (folder / "bccd.names").read_text().split()
    dataset = read(place / "val.list", format="darknet", names=names)
    with Network(folder / "bccd.cfg", folder / "bccd.weights", precision="fp32", strict=False) as network:
        yield [as_darknet_reads(image) for image in collect(network, ImageCache(dataset.samples, 3))]


def as_darknet_reads(image: Judged) -> Judged:
    """The same image with all truths of its label file: our reader drops one that has no size."""
    rows = np.loadtxt(Path(image.path).with_suffix(".txt"), ndmin=2)
    centre, half = rows[:, 1:3], rows[:, 3:] / 2
    truths = np.concatenate([centre - half, centre + half], 1) * (image.size * 2)
    assert len(truths) - 1 <= len(image.truths) <= len(truths)
    return replace(image, truths=truths, truth_classes=rows[:, 0].astype(int), difficult=None, crowd=None)


@pytest.mark.slow
def test_everything_is_in_pixels(detections: list[Judged]) -> None:
    """Cells of some 100 pixels in images of 640 x 480, named."""
    assert {image.size for image in detections} == {(640, 480)}
    assert all(Path(image.path).suffix == ".jpg" for image in detections)
    sides = np.concatenate([image.truths[:, 2:] - image.truths[:, :2] for image in detections])
    assert 50 < np.median(sides) < 150
    evaluation = Evaluation(detections, ["RBC", "WBC", "Platelets"])
    assert sum(part.truths for part in evaluation.slices["size"]) == evaluation.darknet.truths == 1138
    assert evaluation.slices["size"][2].truths > 100


@pytest.mark.slow
@pytest.mark.parametrize("name", REPORTS)
def test_reports_of_darknet(shared: Path, detections: list[Judged], name: str) -> None:
    """All its numbers; the tolerance is for other decoders and processors, here every line is equal."""
    printed = (shared / "fixtures/map" / name).read_text().split("\nSet -points flag")[0].splitlines()
    report: MapReport = darknet_map(detections, ["RBC", "WBC", "Platelets"], **REPORTS[name])
    theirs = [row for row in printed if "rank = " not in row]
    ours = report.text().splitlines()[-len(theirs) :]
    number = re.compile(r"\d+\.?\d*")
    assert [number.sub("#", row) for row in ours] == [number.sub("#", row) for row in theirs]
    for our, their in zip(number.findall("\n".join(ours)), number.findall("\n".join(theirs)), strict=True):
        tolerance = 0.05 if "." in their else 2
        assert float(our) == pytest.approx(float(their), abs=tolerance), f"{our} for {their}"
    mean = float(re.search(r"mean average precision \(mAP@[\d.]+\) = ([\d.]+)", "\n".join(theirs))[1])
    assert report.map == pytest.approx(mean, abs=5e-4)
