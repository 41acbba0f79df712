# SPDX-License-Identifier: Apache-2.0
"""Balancing: ratios reached where they can be, rare classes untouched, honest where they cannot."""

from __future__ import annotations

import pytest
from data_sets import dataset, names_of, sample
from hypothesis import given
from hypothesis import strategies as st

from pydarknet.data import Dataset, ops
from pydarknet.errors import DataError


def tools(split: str = "train") -> Dataset:
    """400 images with a screwdriver, 100 of each of four other tools."""
    counts = (400, 100, 100, 100, 100)
    images = [sample(f"{c}_{i}.jpg", c, split=split) for c, n in enumerate(counts) for i in range(n)]
    return dataset(*images)


def ratio(data: Dataset) -> float:
    counts = ops.class_counts(data).values()
    return max(counts) / min(counts)


def test_counts_of_400_and_100_come_within_the_ratio():
    """The rarest classes keep all images; the frequent one keeps as many as the ratio allows."""
    done = ops.balance(tools(), max_ratio=1.2, seed=1)
    assert ops.class_counts(done) == {0: 120, 1: 100, 2: 100, 3: 100, 4: 100}
    assert len(done.report) == 0


def test_same_seed_same_images():
    first, second = ops.balance(tools(), 1.2, seed=5), ops.balance(tools(), 1.2, seed=5)
    assert names_of(first) == names_of(second)
    assert names_of(first) != names_of(ops.balance(tools(), 1.2, seed=6))


def test_repeating_reaches_the_ratio_too():
    done = ops.oversample(tools(), max_ratio=1.2)
    assert ratio(done) <= 1.2
    assert set(names_of(done)) == set(names_of(tools()))
    # Evenly: no image comes more than once more often than another of its class.
    times = [names_of(done).count(f"1_{i}.jpg") for i in range(100)]
    assert max(times) - min(times) <= 1


def test_repeats_are_limited():
    data = dataset(*(sample(f"a{i}", 0) for i in range(100)), sample("b", 1), names="ab")
    done = ops.oversample(data, max_repeats=7)
    assert names_of(done).count("b") == 7
    assert "is 14.3, not 1" in str(done.report)


def test_repeating_prefers_images_without_the_frequent_class():
    """An image with much of the frequent class would bring more of that, too."""
    data = dataset(*(sample(f"a{i}", 0) for i in range(8)), sample("mixed", 0, 0, 0, 0, 1), sample("rare", 1))
    done = ops.oversample(data, 1.5)
    assert names_of(done).count("mixed") == 1
    assert names_of(done).count("rare") > 1


def test_validation_is_not_balanced():
    """Validation images stay unchanged."""
    data = ops.merge(tools("train"), tools("val"))
    done = ops.balance(data, 1.0)
    assert ops.class_counts(done.only("val")) == ops.class_counts(tools())
    assert ratio(done.only("train")) == 1.0


def test_by_images():
    data = dataset(*(sample(f"a{i}", 0, 0, 0) for i in range(4)), *(sample(f"b{i}", 1) for i in range(4)))
    assert names_of(ops.balance(data, 1.0, by="images")) == names_of(data)
    assert len(ops.balance(data, 1.0, by="boxes")) < len(data)


def test_backgrounds_stay():
    data = dataset(*(sample(f"a{i}", 0) for i in range(9)), sample("b", 1), sample("empty"))
    assert "empty" in names_of(ops.balance(data, 1.0))


def test_classes_that_share_images_are_reported():
    """Where the rare class never comes alone, the ratio is out of reach, and that is said."""
    data = dataset(*(sample(f"{i}", 0, 0, 0, 1) for i in range(10)), names="ab")
    done = ops.balance(data, 1.0)
    assert len(done) == 10
    assert "a to b is 3, not 1: they share images" in str(done.report)


def test_a_class_without_boxes_is_ignored():
    done = ops.balance(dataset(sample("x", 0), names="ab"), 1.0)
    assert "class 'b' has no training box" in str(done.report)


@given(st.lists(st.lists(st.integers(0, 3), max_size=4), max_size=40), st.sampled_from([1.0, 1.5, 3.0]))
def test_balancing_never_loses_the_rarest_class(images, max_ratio):
    """Whatever the images: no class falls below the rarest one, and no ratio gets worse."""
    data = dataset(*(sample(f"{i}", *found) for i, found in enumerate(images)))
    before = ops.class_counts(data)
    done = ops.class_counts(ops.balance(data, max_ratio))
    if before:
        assert min(done.values()) == min(before.values())
        assert set(done) == set(before)
        assert max(done.values()) <= max(before.values())
        repeated = ops.class_counts(ops.oversample(data, max_ratio))
        assert max(repeated.values()) / min(repeated.values()) <= max(before.values()) / min(before.values())


@pytest.mark.parametrize("call", [ops.balance, ops.oversample])
def test_impossible_ratios_are_refused(call):
    with pytest.raises(DataError, match=r"max_ratio must be at least 1, not 0\.5"):
        call(tools(), 0.5)
    with pytest.raises(DataError, match="counted by boxes or images, not by 'area'"):
        call(tools(), by="area")


def test_impossible_repeats_are_refused():
    with pytest.raises(DataError, match="max_repeats must be at least 1"):
        ops.oversample(tools(), max_repeats=0)
