# SPDX-License-Identifier: Apache-2.0
"""VOC's average precision: values by hand, and the rule as the development kit states it, in plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judging import line, random_images

from pydarknet.evaluation.average_precision import average_precision
from pydarknet.evaluation.columns import Judged
from pydarknet.evaluation.voc import voc

# Ten detections of five truths; precision at the right ones: 1/1, 2/3, 3/4, 4/8
RIGHT = np.array([1, 0, 1, 1, 0, 0, 0, 1, 0, 0], bool)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        # recall 0.2 0.4 0.6 0.8; the highest precision from there on: 1, 3/4, 3/4, 1/2
        (0, 0.2 * (1 + 3 / 4 + 3 / 4 + 1 / 2)),
        # 0 0.1 0.2 | 0.3 0.4 0.5 0.6 | 0.7 0.8 | 0.9 1.0
        (11, (3 * 1 + 4 * 3 / 4 + 2 * 1 / 2) / 11),
        # 0 ... 0.20 | 0.21 ... 0.60 | 0.61 ... 0.80 | rest
        (101, (21 * 1 + 40 * 3 / 4 + 20 * 1 / 2) / 101),
    ],
)
def test_three_modes_of_one_curve(points: int, expected: float) -> None:
    """Area under the curve, 11 and 101 points of recall."""
    assert average_precision(RIGHT, 5, points) == pytest.approx(expected)


def test_by_hand() -> None:
    """Right, doubled, wrong class; a class without truths does not count in the mean."""
    image = line([(0, 0.9, 0), (1, 0.8, 0), (100, 0.7, 0), (200, 0.6, 1)], [(0, 0), (100, 0), (200, 0)])
    report = voc([image], ["a", "b"], points=11)
    assert report.classes["a"] == pytest.approx((4 * 1 + 3 * 2 / 3) / 11)
    assert math.isnan(report.classes["b"])
    assert report.map == report.classes["a"]
    assert math.isnan(voc([], ["a"]).map)


def test_the_threshold_is_enough() -> None:
    """An IoU of exactly one half counts in VOC, unlike in Darknet."""
    half = line([(10 / 3, 0.9, 0)], [(0, 0)])
    assert voc([half], ["a"], iou_thresh=0.5 - 1e-6).map == 1
    assert voc([half], ["a"], iou_thresh=0.5 + 1e-6).map == 0
    whole = Judged(
        np.array([[0.0, 0, 1, 2]]), np.array([0.9]), np.array([0]), np.array([[0.0, 0, 1, 1]]), np.array([0])
    )
    assert voc([whole], ["a"]).map == 1


def test_difficult() -> None:
    """A detection of a difficult truth is neither right nor wrong, however often; it need not be found."""
    image = line(
        [(0, 0.9, 0), (0, 0.8, 0), (100, 0.7, 0)], [(0, 0), (100, 0)], difficult=np.array([True, False])
    )
    assert voc([image], ["a"]).map == 1


def plainly(images: list[Judged], label: int, thresh: float) -> tuple[list[bool], int]:
    """The development kit's walk over the detections of a class."""
    ranked = sorted(
        (-image.scores[d], number, d)
        for number, image in enumerate(images)
        for d in range(len(image.scores))
        if image.classes[d] == label
    )
    taken, right = set(), []
    for _, number, d in ranked:
        image = images[number]
        best, at = -1.0, -1
        for t in range(len(image.truths)):
            if image.truth_classes[t] != label:
                continue
            a, b = image.boxes[d], image.truths[t]
            width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
            if width > 0 and height > 0:
                areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
                overlap = width * height / (areas - width * height)
                if overlap > best:
                    best, at = overlap, t
        if best < thresh:
            right.append(False)
        elif not image.difficult[at]:
            right.append((number, at) not in taken)
            taken.add((number, at))
    truths = sum(int(((i.truth_classes == label) & ~i.difficult).sum()) for i in images)
    return right, truths


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(1, 3), thresh=st.sampled_from([0.3, 0.5, 0.75]))
def test_equal_to_the_rule(seed: int, classes: int, thresh: float) -> None:
    """With difficult truths, ties of score and of overlap."""
    images = random_images(seed, classes, flags=("difficult",))
    report = voc(images, [str(i) for i in range(classes)], thresh, points=11)
    for label in range(classes):
        right, truths = plainly(images, label, thresh)
        if not truths:
            assert math.isnan(report.classes[str(label)])
            continue
        hits = np.cumsum(right)
        recall, precision = hits / truths, hits / np.arange(1, len(right) + 1)
        expected = np.mean([max(precision[recall >= k / 10 - 1e-12], default=0) for k in range(11)])
        assert report.classes[str(label)] == pytest.approx(expected)
