# SPDX-License-Identifier: Apache-2.0
"""Confusion matrix, curves, calibration and slices, calculated by hand."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judging import line, random_images
from sklearn.calibration import calibration_curve

from pydarknet.evaluation.calibration import calibration
from pydarknet.evaluation.columns import Columns, Judged
from pydarknet.evaluation.confusion import confusion
from pydarknet.evaluation.curves import CONFIDENCES
from pydarknet.evaluation.evaluation import Evaluation


def test_confusion_by_hand() -> None:
    """Right, taken for another class, doubled, of nothing, weak, missed, forgiven: each in its cell."""
    image = line(
        [
            (0, 0.9, 0),  # right
            (100, 0.9, 1),  # an a taken for a b
            (1, 0.8, 0),  # the first truth again, with less overlap
            (500, 0.7, 1),  # nothing there
            (300, 0.2, 1),  # too weak: the b there is missed
            (400, 0.9, 0),  # difficult
            (5, 0.9, 0),  # overlaps too little
        ],
        [(0, 0), (100, 0), (200, 1), (300, 1), (400, 1)],
        difficult=np.array([False, False, False, False, True]),
    )
    found = confusion([image], ["a", "b"])
    assert found.names == ("a", "b", "background")
    assert found.counts.tolist() == [[1, 0, 2], [1, 0, 1], [0, 2, 0]]
    assert found.shares[:, 0].tolist() == [0.5, 0.5, 0]
    assert found.mistakes() == [("b", "a", 1)]
    rows = list(csv.reader(io.StringIO(found.csv())))
    assert rows[0] == ["detected \\ true", "a", "b", "background"]
    assert rows[2] == ["b", "1", "0", "1"]


def test_confusion_each_keeps_the_closest() -> None:
    """A detection keeps its best truth even if a closer one takes that: it is false, not the next best."""
    image = line([(0, 0.5, 0), (1, 0.9, 1)], [(0.4, 0), (3, 1)])
    assert confusion([image], ["a", "b"]).counts.tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]


def test_names_with_commas_survive_the_table() -> None:
    """A reader of CSV gets the names back."""
    names = ['a, "b"', "c"]
    rows = list(csv.reader(io.StringIO(confusion([line([], [(0, 0)])], names).csv())))
    assert [row[0] for row in rows[1:]] == [*names, "background"]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(1, 4))
def test_sums(seed: int, classes: int) -> None:
    """Columns of the confusion matrix and slices of both kinds add up to the truths."""
    images = random_images(seed, classes, flags=("difficult", "crowd"))
    evaluation = Evaluation(images, [str(i) for i in range(classes)])
    truths = evaluation.columns.positives(classes)
    assert evaluation.confusion.counts[:, :-1].sum(0).tolist() == truths.tolist()
    positives = ((evaluation.columns.scores > 0.25) & ~evaluation.matches.aside).sum()
    for parts in evaluation.slices.values():
        assert sum(part.truths for part in parts) == truths.sum() == evaluation.darknet.truths
        assert sum(part.tp + part.fn for part in parts) == truths.sum()
        assert sum(part.tp + part.fp for part in parts) == positives
    assert sum(part.images for part in evaluation.slices["objects"]) == len(images)
    assert sum(int(v.missed.sum()) for v in evaluation.verdicts) == sum(
        part.fn for part in evaluation.slices["size"]
    )


def test_one_object_is_easy_and_many_are_not() -> None:
    """Alone it is found, of twelve half are: the slices say so."""
    alone = line([(0, 0.9, 0)], [(0, 0)])
    crowded = line([(100 * i, 0.8, 0) for i in range(6)], [(100 * i, 0) for i in range(12)])
    parts = {part.name: part for part in Evaluation([alone, crowded], ["a"]).slices["objects"]}
    assert (parts["1"].truths, parts["1"].recall, parts["1"].ap) == (1, 1, 1)
    assert (parts["10+"].truths, parts["10+"].recall, parts["10+"].ap) == (12, 0.5, 0.5)
    assert parts["2-4"].images == 0
    assert math.isnan(parts["2-4"].ap)


def test_slices_by_size() -> None:
    """Squares of 31, 32, 95 and 96 pixels; a false one belongs to its own size, a double to its truth's."""

    def squares(*sides: int) -> np.ndarray:
        return np.array([(200 * i, 0, 200 * i + side, side) for i, side in enumerate(sides)], float)

    found = np.concatenate([squares(31, 32, 95, 96), [[0, 0, 34, 33]], [[1500, 0, 1600, 100]]])
    image = Judged(found, np.full(6, 0.9), np.zeros(6, int), squares(31, 32, 95, 96), np.zeros(4, int))
    parts = {part.name: part for part in Evaluation([image], ["a"]).slices["size"]}
    assert [parts[name].truths for name in ("small", "medium", "large")] == [1, 2, 1]
    assert [parts[name].fp for name in ("small", "medium", "large")] == [1, 0, 1]
    assert parts["medium"].precision == 1
    assert parts["medium"].ap == 1


def test_curves_by_hand() -> None:
    """Two truths, detections of 0.9 (right), 0.6 (wrong) and 0.3 (right)."""
    image = line([(0, 0.9, 0), (500, 0.6, 0), (100, 0.3, 0)], [(0, 0), (100, 0)])
    found = Evaluation([image], ["a", "b"]).curves
    at = {c: int(np.searchsorted(CONFIDENCES, c - 1e-9)) for c in (0.2, 0.5, 0.7, 0.95)}
    assert [found.precision[0, at[c]] for c in at] == pytest.approx([2 / 3, 1 / 2, 1, 1])
    assert [found.recall[0, at[c]] for c in at] == pytest.approx([1, 1 / 2, 1 / 2, 0])
    assert [found.f1[0, at[c]] for c in at] == pytest.approx([4 / 5, 1 / 2, 2 / 3, 0])
    assert np.isnan(found.precision[1]).all()
    assert found.best_confidence == pytest.approx(0.15)  # the middle of 0 ... 0.3
    assert found.at(0.7) == pytest.approx((1, 1 / 2, 2 / 3))
    assert found.precision_at_recall[0].tolist() == pytest.approx([1] * 51 + [2 / 3] * 50)
    assert found.mean(found.recall)[0] == 1
    nothing = Evaluation([], ["a"]).curves
    assert nothing.mean(nothing.recall).tolist() == [0] * 1001


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_calibration_against_sklearn(seed: int) -> None:
    """Mean confidence and share of right ones in each bin."""
    rng = np.random.default_rng(seed)
    scores = rng.random(rng.integers(1, 200))
    right = rng.random(len(scores)) < scores**2
    found = calibration(scores, right, bins=7)
    share, mean = calibration_curve(right, scores, n_bins=7)
    known = found.count > 0
    np.testing.assert_allclose(found.accuracy[known], share)
    np.testing.assert_allclose(found.confidence[known], mean)
    assert found.count.sum() == len(scores)


def test_calibration_error_by_hand() -> None:
    """Ten at 0.95 of which nine are right, ten at 0.15 of which none: gaps of 0.05 and 0.15."""
    scores, right = np.array([0.95] * 10 + [0.15] * 10), np.array([True] * 9 + [False] * 11)
    found = calibration(scores, right, bins=10)
    assert found.ece == pytest.approx(0.1)
    assert found.ece_from(0.5) == pytest.approx(0.05)
    assert math.isnan(calibration(scores, right, bins=10).ece_from(1))
    assert calibration(np.ones(3), np.ones(3, bool)).ece == 0


def test_pairs_in_small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The portions in which boxes are compared make no difference."""
    images = random_images(5, 2)
    whole = Columns.of(images).pairs
    monkeypatch.setattr("pydarknet.evaluation.columns._AT_ONCE", 3)
    portions = Columns.of(images).pairs
    assert len(whole.truth) > 30
    for name in ("detection", "truth", "overlap"):
        np.testing.assert_array_equal(getattr(portions, name), getattr(whole, name))
