# SPDX-License-Identifier: Apache-2.0
"""Renaming, merging and dropping classes; merging data sets; data sets as rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from data_sets import dataset, names_of, sample

from pydarknet.data import ANY_CLASS, Dataset, Flag, Sample, ops
from pydarknet.data.classes import ClassPlan
from pydarknet.errors import DataError


def animals() -> Dataset:
    return Dataset(
        [sample("a", 0, 1), sample("b", 1, 2), sample("c", 2), sample("d")], ("cobra", "viper", "dog")
    )


def test_merging_classes_keeps_every_box():
    """Two synsets become one class: half the classes, all the boxes."""
    done = ops.remap(animals(), ClassPlan({"cobra": "snake", "viper": "snake"}))
    assert done.names == ("snake", "dog")
    assert [s.classes.tolist() for s in done] == [[0, 0], [0, 1], [1], []]
    assert done.box_count == animals().box_count


def test_boxes_made_equal_by_merging_are_one():
    image = Sample(Path("x"), [(0, 0, 5, 5)] * 2, [0, 1], size=(9, 9))
    done = ops.remap(Dataset([image], "ab"), ClassPlan({"b": "a"}))
    assert done.box_count == 1
    assert "two equal boxes of a" in str(done.report)


def test_choosing_classes_reorders_them():
    done = ops.remap(animals(), ClassPlan(keep=("dog", "cobra")))
    assert done.names == ("dog", "cobra")
    assert [(s.name, s.classes.tolist()) for s in done] == [("a", [1]), ("b", [0]), ("c", [0]), ("d", [])]


def test_dropping_a_class_empties_images():
    done = ops.remap(animals(), ClassPlan({"dog": ""}))
    assert names_of(done) == ["a", "b", "d"]
    assert done.report.counts["emptied"] == 1
    assert names_of(ops.remap(animals(), ClassPlan({"dog": ""}), keep_emptied=True)) == ["a", "b", "c", "d"]


def test_most_frequent_classes():
    """viper is in two images with two boxes, dog in two; the order of the source decides between equals."""
    assert ops.remap(animals(), ClassPlan(top=1)).names == ("viper",)
    assert ops.remap(animals(), ClassPlan(top=2, by="boxes")).names == ("viper", "dog")


def test_ids_that_start_at_one():
    """Names with a place holder for id 0, which is then dropped."""
    data = Dataset([sample("a", 1, 2)], ("none", "cat", "dog"))
    done = ops.remap(data, ClassPlan(keep=("cat", "dog")))
    assert done[0].classes.tolist() == [0, 1]


def test_ignore_regions_of_any_class_stay():
    image = Sample(Path("x"), [(0, 0, 5, 5)], [ANY_CLASS], flags=[Flag.IGNORE], size=(9, 9))
    done = ops.remap(Dataset([image], "ab"), ClassPlan(keep=("b",)))
    assert done[0].classes.tolist() == [ANY_CLASS]


def test_unknown_classes_are_errors():
    with pytest.raises(DataError, match="cannot rename class 'dogs': did you mean 'dog'"):
        ops.remap(animals(), ClassPlan({"dogs": "dog"}))
    with pytest.raises(DataError, match="no class 'vipr': did you mean 'viper'"):
        ops.remap(animals(), ClassPlan(keep=("vipr",)))


def test_merged_sets_share_classes_of_the_same_name():
    other = Dataset([sample("e", 0, 1)], ("dog", "cat"))
    done = ops.merge(animals(), other)
    assert done.names == ("cobra", "viper", "dog", "cat")
    assert done[4].classes.tolist() == [2, 3]
    assert len(done) == 5


def test_merging_nothing_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        ops.merge()


def test_rows():
    """One row per box, plain values, flags by name."""
    image = Sample(
        Path("/i/x.jpg"), [(1, 2, 3.5, 4)], [0], flags=[Flag.CROWD | Flag.TRUNCATED], size=(9, 8), split="val"
    )
    assert ops.table(dataset(image, sample("empty"))) == [
        {
            "image": "/i/x.jpg",
            "split": "val",
            "width": 9,
            "height": 8,
            "label": "a",
            "x1": 1.0,
            "y1": 2.0,
            "x2": 3.5,
            "y2": 4.0,
            "flags": "crowd|truncated",
        }
    ]
