# SPDX-License-Identifier: Apache-2.0
"""The COCO protocol against pycocotools, and what pycocotools does not know by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judging import line, pycocotools, random_images

from pydarknet.errors import ArgumentError
from pydarknet.evaluation.coco import AREAS, THRESHOLDS, coco
from pydarknet.evaluation.columns import ANY_CLASS, Judged


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(1, 5))
def test_equal_to_pycocotools(seed: int, classes: int) -> None:
    """All twelve numbers, and precision and recall of each class, area, threshold; with crowds and ties."""
    images = random_images(seed, classes)
    peer = pycocotools(images, classes)
    if peer is None:
        return
    ours = coco(images, [str(i) for i in range(classes)])
    stats = np.nan_to_num(np.array(list(ours.stats.values())), nan=-1)
    assert stats == pytest.approx(peer.stats, abs=1e-9)
    precision = peer.eval["precision"][..., 2]  # thresholds, recalls, classes, areas
    precision = np.where((precision < 0).any(1), np.nan, precision.mean(1)).transpose(2, 0, 1)
    np.testing.assert_allclose(ours.precision, precision, atol=1e-9)
    recall = peer.eval["recall"].transpose(3, 2, 0, 1)  # was thresholds, classes, areas, counts
    np.testing.assert_allclose(ours.recall, np.where(recall < 0, np.nan, recall), atol=1e-9)


def test_more_than_a_hundred_of_a_class() -> None:
    """Only the surest 100 of an image and class count: the right one is the 101st."""
    found = [(1000.0, 0.9, 0)] * 100 + [(0.0, 0.8, 0)]
    assert coco([line(found, [(0, 0)])], ["a"]).map50 == 0
    assert coco([line(found[1:], [(0, 0)])], ["a"]).map50 == pytest.approx(1 / 100)


def test_nothing_to_find_is_no_number() -> None:
    """No truths: nan, not a zero that would spoil a mean; no images likewise."""
    for images in ([], [line([(0, 0.9, 0)], [])]):
        report = coco(images, ["a"])
        assert all(np.isnan(value) for value in report.stats.values())
    report = coco([line([], [(0, 0)])], ["a", "b"])
    assert report.map5095 == 0
    assert np.isnan(report.class_ap[1])


def test_difficult_truths_need_not_be_found_but_only_one_detection_is_forgiven() -> None:
    """The second one on a difficult truth is wrong; on a crowd all are forgiven."""
    found = [(0.0, 0.9, 0), (0.0, 0.8, 0), (100.0, 0.7, 0)]
    truths = [(0.0, 0), (100.0, 0)]
    difficult = line(found, truths, difficult=np.array([True, False]))
    assert coco([difficult], ["a"]).map50 == pytest.approx(1 / 2)
    crowd = line(found, truths, crowd=np.array([True, False]))
    assert coco([crowd], ["a"]).map50 == 1
    assert np.isnan(coco([line([], [(0, 0)], difficult=np.array([True]))], ["a"]).ar())  # nothing to find


def test_a_region_of_any_class() -> None:
    """A crowd without a class forgives detections of all classes inside it."""
    image = line([(0, 0.9, 0), (100, 0.8, 0), (0, 0.9, 1)], [(100, 0), (100, 1)])
    assert coco([image], ["a", "b"]).map50 == pytest.approx((1 / 2 + 0) / 2)
    region = Judged(
        image.boxes,
        image.scores,
        image.classes,
        np.concatenate([image.truths, [[-50.0, 0, 50, 50]]]),
        np.array([0, 1, ANY_CLASS]),
        crowd=np.array([False, False, True]),
    )
    assert coco([region], ["a", "b"]).map50 == pytest.approx((1 + 0) / 2)


def test_mean_of_parts() -> None:
    """AP is the mean of the thresholds' means, and the text has twelve lines."""
    report = coco(random_images(3, 2), ["a", "b"])
    assert report.map5095 == pytest.approx(np.mean([report.ap(threshold=t) for t in THRESHOLDS]))
    assert report.precision.shape == (len(AREAS), len(THRESHOLDS), 2)
    assert len(report.text().splitlines()) == 12


def test_unknown_areas_and_thresholds() -> None:
    """They are refused, and the known ones are named."""
    report = coco([line([], [(0, 0)])], ["a"])
    with pytest.raises(ArgumentError, match="found area huge, expected one of all, small, medium, large"):
        report.ap("huge")
    with pytest.raises(ArgumentError, match=r"found threshold 0\.52, expected one of 0\.5, 0\.55, 0\.6"):
        report.ap(threshold=0.52)
    with pytest.raises(ArgumentError, match="found number of detections 5, expected one of 1, 10, 100"):
        report.ar(detections=5)
