# SPDX-License-Identifier: Apache-2.0
"""Splits: sizes by the floor rule, chance by seed and name, classes and groups kept together."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

import pytest
from data_sets import dataset, names_of, sample, split_sizes
from hypothesis import given
from hypothesis import strategies as st

from pydarknet.data import ops
from pydarknet.errors import DataError


def many(n: int) -> list:
    return [sample(f"{i}.jpg", i % 3) for i in range(n)]


def test_floor_rule_gives_the_rest_to_the_last():
    """Every split but the last gets floor(n * ratio): 900 -> 675, 112, 113."""
    done = ops.split(dataset(*many(900)), (0.75, 0.125, 0.125), seed=42)
    assert split_sizes(done) == {"train": 675, "val": 112, "test": 113}


def test_ratios_are_decimal():
    """0.29 of 100 is 29, although 0.29 * 100 is below 29 in binary."""
    assert 0.29 * 100 < 29
    assert ops.split_sizes(100, (0.29, 0.71)) == [29, 71]


@given(st.integers(0, 500), st.integers(1, 99))
def test_sizes_always_add_up(n, percent):
    ratios = (percent / 100, 1 - percent / 100)
    assert sum(ops.split_sizes(n, ratios)) == n


def test_same_seed_same_split_whatever_the_order():
    """The choice depends on seed and names, not on the order in which images were found."""
    images = many(200)
    first = {s.name: s.split for s in ops.split(dataset(*images), (0.8, 0.2), seed=7)}
    random.Random(0).shuffle(images)
    second = {s.name: s.split for s in ops.split(dataset(*images), (0.8, 0.2), seed=7)}
    assert first == second
    other = {s.name: s.split for s in ops.split(dataset(*images), (0.8, 0.2), seed=8)}
    assert first != other


def test_the_source_is_unchanged():
    before = dataset(*many(10))
    ops.split(before, (0.5, 0.5))
    assert split_sizes(before) == {"": 10}


def test_order_of_samples_stays():
    before = dataset(*many(50))
    assert names_of(ops.split(before, (0.5, 0.5))) == names_of(before)


def test_stratified_split_gives_every_split_its_share():
    """A class in 8 of 400 images gets 6, 1 and 1 of them; sizes still follow the floor rule."""
    images = [sample(f"{i}.jpg", 0, *([1] if i % 50 == 0 else [])) for i in range(400)]
    done = ops.split(dataset(*images), (0.75, 0.125, 0.125), stratify=True)
    assert split_sizes(done) == {"train": 300, "val": 50, "test": 50}
    rare = Counter(s.split for s in done if 1 in s.classes)
    assert rare == {"train": 6, "val": 1, "test": 1}


def test_stratified_split_spreads_backgrounds():
    images = [sample(f"{i}.jpg", *([] if i % 10 == 0 else [0])) for i in range(100)]
    done = ops.split(dataset(*images), (0.8, 0.2), stratify=True)
    assert Counter(s.split for s in done if len(s) == 0) == {"train": 8, "val": 2}


@given(
    st.lists(st.sets(st.integers(0, 4), max_size=3), min_size=5, max_size=80),
    st.integers(0, 1000),
    st.booleans(),
)
def test_sizes_hold_for_any_classes(classes, seed, stratify):
    """Without groups the floor rule holds exactly, stratified or not."""
    images = [sample(f"{i}.jpg", *found) for i, found in enumerate(classes)]
    done = ops.split(dataset(*images), (0.6, 0.2, 0.2), seed=seed, stratify=stratify)
    sizes = ops.split_sizes(len(images), (0.6, 0.2, 0.2))
    assert [split_sizes(done).get(name, 0) for name in ("train", "val", "test")] == sizes


def test_groups_are_never_torn():
    """Frames of one video stay in one split, and the sizes stay near the ratios."""
    images = [sample(f"video{i // 9}_{i}.jpg", i % 5) for i in range(450)]
    done = ops.split(dataset(*images), (0.8, 0.2), group_by=r"^(video\d+)_", stratify=True)
    places = defaultdict(set)
    for s in done:
        places[s.name.split("_")[0]].add(s.split)
    assert all(len(found) == 1 for found in places.values())
    assert split_sizes(done) == {"train": 360, "val": 90}


def test_roboflow_copies_stay_together():
    """Roboflow names augmented copies <original>.rf.<hash>.jpg."""
    images = [sample(f"cat{i // 3}_jpg.rf.{i:08x}.jpg", 0) for i in range(60)]
    done = ops.split(dataset(*images), (0.5, 0.5), group_by="roboflow")
    places = defaultdict(set)
    for s in done:
        places[s.name.split(".")[0]].add(s.split)
    assert all(len(found) == 1 for found in places.values())


def test_folders_as_groups():
    images = [sample(f"{i % 4}/{i}.jpg", 0) for i in range(40)]
    done = ops.split(dataset(*images), (0.5, 0.5), group_by="folder")
    assert all(len({s.split for s in done if s.image.parent.name == f}) == 1 for f in "0123")


def test_a_function_as_group():
    done = ops.split(dataset(*many(20)), (0.5, 0.5), group_by=lambda s: "one")
    assert split_sizes(done) == {"train": 20}


def test_an_image_listed_twice_stays_together():
    images = many(10) * 2
    done = ops.split(dataset(*images), (0.5, 0.5))
    places = defaultdict(set)
    for s in done:
        places[s.name].add(s.split)
    assert all(len(found) == 1 for found in places.values())


def test_images_without_a_group_are_reported():
    done = ops.split(dataset(*many(10)), (0.5, 0.5), group_by="video")
    assert "10 images have no group" in str(done.report)
    assert split_sizes(done) == {"train": 5, "val": 5}


def test_an_empty_split_is_reported():
    done = ops.split(dataset(*many(5)), (0.8, 0.1, 0.1))
    assert split_sizes(done) == {"train": 4, "test": 1}
    assert "no image is left for split 'val'" in str(done.report)


def test_folds_cover_every_image_once():
    """k-fold: each image is validated once; sizes differ by one at most; classes are spread."""
    data = dataset(*(sample(f"{i}.jpg", *([1] if i < 10 else [0])) for i in range(52)))
    parts = ops.folds(data, 5, stratify=True)
    validated = Counter(s.name for part in parts for s in part.only("val"))
    assert validated == Counter(names_of(data))
    assert sorted(len(part.only("val")) for part in parts) == [10, 10, 10, 11, 11]
    assert all(sum(1 in s.classes for s in part.only("val")) == 2 for part in parts)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: ops.split(d, (0.8, 0.1)), r"0.8, 0.1 add up to 0.9"),
        (lambda d: ops.split(d, (1.5, -0.5)), "must be positive"),
        (lambda d: ops.split(d, (float("nan"), 0.5)), "must be positive"),
        (lambda d: ops.split(d, (0.25,) * 4), "4 ratios need 4 split names"),
        (
            lambda d: ops.split(d, (0.5, 0.5), group_by="("),
            r"group-by '\(' is not a valid regular expression",
        ),
        (lambda d: ops.folds(d, 11), "10 images cannot be divided into 11 folds"),
        (lambda d: ops.folds(d, 1), "cannot be divided into 1 folds"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(DataError, match=message):
        call(dataset(*many(10)))
