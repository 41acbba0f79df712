# SPDX-License-Identifier: Apache-2.0
"""The evaluation as a whole, its JSON, and the comparison of two."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judging import line, random_images

from pydarknet.errors import ArgumentError
from pydarknet.evaluation.bootstrap import _Model, compare
from pydarknet.evaluation.coco import coco
from pydarknet.evaluation.columns import Judged
from pydarknet.evaluation.darknet_map import darknet_map
from pydarknet.evaluation.evaluation import Evaluation

NAMES = ["a", "b"]


def test_the_parts_are_those_of_the_protocols() -> None:
    """map50 is Darknet's, map5095 COCO's, fitness a tenth and nine tenths of COCO's two."""
    images = random_images(1, 2)
    evaluation = Evaluation(images, NAMES, thresh=0.4)
    assert evaluation.darknet == darknet_map(images, NAMES, thresh=0.4)
    assert evaluation.map50 == evaluation.darknet.map
    report = coco(images, NAMES)
    assert evaluation.map5095 == report.map5095
    assert evaluation.fitness == pytest.approx(0.1 * report.map50 + 0.9 * report.map5095)
    nothing = Evaluation([], NAMES)
    assert (nothing.map50, nothing.map5095, nothing.fitness) == (0, 0, 0)
    assert nothing.worst() == []


def test_map50_is_at_iou_50() -> None:
    """Whatever IoU the table is for: 8 of 10 pixels, 2 of them beside, are an IoU of 8/12."""
    image = Judged([[2, 0, 12, 10]], [0.9], [0], [[0, 0, 10, 10]], [0])  # type: ignore[arg-type]
    strict = Evaluation([image], ["a"], iou_thresh=0.75)
    assert (strict.darknet.map, strict.map50) == (0, 1)
    table = strict.to_dict()
    assert (table["map"], table["map50"]) == (0, 1)
    assert strict.text().splitlines()[2].split() == ["all", "1", "0.00", "40.00", "0", "1", "1"]
    found = compare(strict, strict, samples=2).differences
    assert [(d.metric, d.first) for d in found] == [("map75", 0), ("map5095", pytest.approx(0.4))]


@pytest.mark.parametrize("images", [[], [line([], [])], random_images(2, 2)])
def test_json(images: list[Judged]) -> None:
    """Everything survives JSON, without nan, and agrees with the attributes."""
    evaluation = Evaluation(images, NAMES)
    table = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert table["map50"] == evaluation.map50
    assert table["images"] == len(images)
    assert [row["name"] for row in table["classes"]] == NAMES
    assert sum(row["truths"] for row in table["classes"]) == table["truths"]
    assert table["confusion"]["counts"] == evaluation.confusion.counts.tolist()
    assert len(table["curves"]["confidence"]) == len(table["curves"]["f1"]) == 101
    assert table["curves"]["confidence"][25] == 0.25
    assert set(table["slices"]) == {"size", "objects"}
    assert len(table["calibration"]["count"]) == 20
    assert len(table["coco"]) == 12


def test_the_table_for_people() -> None:
    """A row for each class and one for all, aligned; unknown numbers are a dash."""
    image = line([(0, 0.9, 0), (200, 0.8, 0)], [(0, 0), (100, 0)])
    lines = Evaluation([image], ["cat", "a very long name"]).text().splitlines()
    assert lines[0].split() == ["class", "truths", "AP", "AP50-95", "TP", "FP", "FN"]
    assert lines[1].split() == ["cat", "2", "50.00", "50.50", "1", "1", "1"]
    assert lines[2].split()[-6:] == ["0", "0.00", "-", "0", "0", "0"]
    assert lines[3].split() == ["all", "2", "25.00", "50.50", "1", "1", "1"]
    assert len({len(row) for row in lines[:4]}) == 1


def test_worst() -> None:
    """Most errors first; then the larger share of errors; images without errors are not listed."""
    good = line([(0, 0.9, 0)], [(0, 0)], path="good")
    missed = line([(100, 0.1, 0)], [(0, 0)], path="missed")
    half = line([(0, 0.9, 0), (1, 0.8, 0)], [(0, 0)], path="half")
    both = line([(0, 0.9, 1)], [(0, 0)], path="both")
    evaluation = Evaluation([good, half, missed, both], NAMES)
    assert [v.judged.path for v in evaluation.worst()] == ["both", "missed", "half"]
    assert [v.judged.path for v in evaluation.worst(1)] == ["both"]
    verdict = evaluation.verdicts[1]
    assert (verdict.right.tolist(), verdict.wrong.tolist(), verdict.missed.tolist()) == (
        [True, False],
        [False, True],
        [False],
    )
    assert evaluation.worst(1)[0].errors == 2


def test_refusals() -> None:
    """A class without a name, columns of unequal length, settings out of range."""
    with pytest.raises(ArgumentError, match=r"x\.jpg has a truth of class 2, but there are 2 names"):
        Evaluation([line([], [(0, 0), (0, 2)], path="x.jpg")], NAMES)
    with pytest.raises(ArgumentError, match=r"an image has a detection of class -1, but"):
        Evaluation([line([(0, 0.5, -1)], [])], NAMES)
    with pytest.raises(ArgumentError, match=r"thresh is 1\.5, expected 0 to 1"):
        Evaluation([], NAMES, thresh=1.5)
    with pytest.raises(ArgumentError, match="points is 1, expected 0, 11, 101"):
        Evaluation([], NAMES, points=1)
    with pytest.raises(
        ArgumentError, match=r"shapes \(1, 4\), \(2,\) and \(0, 4\); expected \(1, 4\), \(1,\)"
    ):
        replace(line([(0, 0.5, 0)], []), classes=np.zeros(2, int))
    with pytest.raises(ArgumentError, match=r"has crowd of shape \(2,\), expected \(0,\)"):
        replace(line([(0, 0.5, 0)], []), crowd=np.zeros(2, bool))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(1, 4), points=st.sampled_from([0, 11]))
def test_weights_of_images_are_repetitions(seed: int, classes: int, points: int) -> None:
    """A draw gives what the evaluation of the drawn images gives, each as often as it was drawn."""
    images = random_images(seed, classes, ties=False, flags=("difficult", "crowd"))
    names = [str(i) for i in range(classes)]
    model = _Model(Evaluation(images, names, points=points))
    weights = np.random.default_rng(seed).integers(0, 4, len(images))
    drawn = [image for image, weight in zip(images, weights, strict=True) for _ in range(weight)]
    expected = Evaluation(drawn, names, points=points)
    assert model.measure(weights) == pytest.approx((expected.map50, expected.map5095), abs=1e-9)


def test_a_better_model_is_told_from_chance() -> None:
    """One that misses a third of what the other finds is worse for sure; the same model is not."""
    rng = np.random.default_rng(0)
    first, second = [], []
    for i in range(60):
        image = line(
            [(100 * j, 0.5 + rng.random() / 2, 0) for j in range(5)], [(100 * j, 0) for j in range(5)]
        )
        keep = rng.random(5) < 2 / 3
        second.append(replace(image, path=str(i)))
        first.append(
            Judged(
                image.boxes[keep], image.scores[keep], image.classes[keep], image.truths, image.truth_classes
            )
        )
        first[-1] = replace(first[-1], path=str(i))
    a, b = Evaluation(first, ["a"]), Evaluation(second, ["a"])
    found = compare(a, b, samples=200)
    assert [d.metric for d in found.differences] == ["map50", "map5095"]
    for d in found.differences:
        assert d.low < d.difference < d.high
        assert d.clear
        assert d.better == 1
    assert found.differences[0].difference == pytest.approx(b.map50 - a.map50)
    # the recall of 60 images of 5 with chance 2/3: the interval is about 4 deviations of its mean
    deviation = np.std([len(image.scores) / 5 for image in first]) / np.sqrt(60)
    width = found.differences[0].high - found.differences[0].low
    assert width == pytest.approx(3.92 * deviation, rel=0.25)
    assert compare(a, b, samples=200) == found
    assert compare(a, b, samples=200, seed=1) != found
    same = compare(a, a, samples=20)
    assert all((d.low, d.high, d.better, d.clear) == (0, 0, 0.5, False) for d in same.differences)
    assert "may be chance" in same.text()
    assert "may be chance" not in found.text()


def test_lists_will_do() -> None:
    """Plain lists are taken as arrays, empty ones too."""
    judged = Judged([[0, 0, 10, 10]], [0.9], [0], [[0, 0, 10, 10]], [0])  # type: ignore[arg-type]
    nothing = Judged([], [], [], [], [])  # type: ignore[arg-type]
    assert Evaluation([judged, nothing], ["a"]).map50 == 1
    calls: list[tuple[str, int, int | None]] = []

    def record(*call: Any) -> None:
        calls.append(call)

    compare(Evaluation([judged], ["a"]), Evaluation([judged], ["a"]), samples=3, progress=record)
    assert calls == [("draws", 1, 3), ("draws", 2, 3), ("draws", 3, 3)]


def test_what_cannot_be_compared() -> None:
    """Other names, images, truths, settings; no images; no draws."""
    one = Evaluation([line([], [(0, 0)], path="x")], NAMES)
    for other, message in (
        (Evaluation(one.images, ["a", "c"]), "different names cannot be compared"),
        (Evaluation(one.images, NAMES, points=11), "different points cannot be compared: 0 and 11"),
        (Evaluation([], NAMES), "same images; found 1 and 0"),
        (Evaluation([line([], [(0, 0)], path="y")], NAMES), "same order; found x and y$"),
        (Evaluation([line([], [(5, 0)], path="x")], NAMES), "found x and x with other truths"),
    ):
        with pytest.raises(ArgumentError, match=message):
            compare(one, other)
    with pytest.raises(ArgumentError, match="samples is 0, expected 1 or more"):
        compare(one, one, samples=0)
