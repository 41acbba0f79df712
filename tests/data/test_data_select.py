# SPDX-License-Identifier: Apache-2.0
"""Leaving out images and boxes: expressions, sizes, duplicates; and what becomes of emptied images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_files import make_image
from data_sets import dataset, names_of, sample

from pydarknet.data import Dataset, Flag, Sample, Status, ops
from pydarknet.data.ops.expression import box_condition, image_condition
from pydarknet.errors import DataError

TOOLS = ("drill", "hammer", "paintbrush", "screwdriver", "wheel barrow")


def tools() -> Dataset:
    return Dataset(
        [
            sample("two.jpg", 3, 3),
            sample("four.jpg", 3, 3, 3, 3),
            sample("mixed.jpg", 3, 3, 3, 3, 0),
            sample("three.jpg", 3, 3, 3, 4, 4),
            sample("none.jpg"),
        ],
        TOOLS,
    )


def test_images_with_more_than_three_screwdrivers_go():
    """The rule of thumb users apply to a class that comes too often."""
    done = ops.drop_images(tools(), "count(screwdriver)>3")
    assert names_of(done) == ["two.jpg", "three.jpg", "none.jpg"]
    assert len(tools()) == 5


@pytest.mark.parametrize(
    ("expression", "dropped"),
    [
        ("boxes == 0", {"none.jpg"}),
        ("count('wheel barrow') >= 2", {"three.jpg"}),
        ("count(screwdriver) > 3 and not count(drill)", {"four.jpg"}),
        ("2 < boxes <= 4", {"four.jpg"}),
        ("boxes - count(screwdriver) == 2 or status == 'background'", {"three.jpg", "none.jpg"}),
        ("width * height != area", set()),
        ("aspect < 1 or -boxes < -4", {"mixed.jpg", "three.jpg"}),
        ("classes == 2", {"mixed.jpg", "three.jpg"}),
        ("name == 'two.jpg'", {"two.jpg"}),
        ("boxes / 2 == 2.0", {"four.jpg"}),
    ],
)
def test_image_expressions(expression, dropped):
    kept = set(names_of(ops.drop_images(tools(), expression)))
    assert kept == set(names_of(tools())) - dropped


def test_a_function_instead_of_an_expression():
    assert len(ops.drop_images(tools(), lambda s: len(s) > 3)) == 2


@pytest.mark.parametrize(
    ("expression", "kept"),
    [
        ("width < 8", [1, 2]),
        ("aspect > 2 or share > 0.2", [0]),
        ("label == 'b'", [0, 2]),
        ("difficult", [0, 2]),
        ("x > 0.5 and y > 0.5", [0, 1]),
        ("height < 10 and not difficult", [1, 2]),
        ("area == 25", [1, 2]),
        ("score < 1", [0, 1, 2]),
    ],
)
def test_box_expressions(expression, kept):
    boxes = [(0, 0, 5, 5), (10, 0, 50, 10), (40, 40, 90, 90)]
    flags = [0, Flag.DIFFICULT, 0]
    image = Sample(Path("x.jpg"), boxes, classes=[0, 1, 0], flags=flags, size=(100, 100))
    done = ops.drop_boxes(Dataset([image], "ab"), expression)
    assert done[0].boxes.tolist() == [list(map(float, boxes[i])) for i in kept]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("count(screwdrivr) > 3", r"column 7: no class 'screwdrivr'; did you mean 'screwdriver'\?"),
        ("widht > 3", r"column 1: no variable 'widht'; did you mean 'width'\?"),
        ("boxes > 3 and __import__('os')", r"column 15: \"__import__\('os'\)\" is not allowed here"),
        ("boxes.real > 1", r"column 1: 'boxes.real' is not allowed here"),
        ("boxes = 3", "equality is written =="),
        ("boxes >", "invalid syntax"),
        ("count(3) > 1", "column 7: count.. takes one class name"),
        ("boxes in (1, 2)", "is not allowed here"),
        ("boxes ** 99 ** 99", "is not allowed here"),
        ("True", "is not allowed here"),
        ("", "invalid syntax"),
        ("(" * 5000, "column"),
    ],
)
def test_malformed_expressions_say_where(expression, message):
    with pytest.raises(DataError, match=message):
        image_condition(expression, TOOLS)


@pytest.mark.parametrize("expression", ["name < 3", "1 / (boxes - boxes) > 1"])
def test_expressions_that_fail_name_the_image(expression):
    with pytest.raises(DataError, match=r"on /images/two\.jpg"):
        ops.drop_images(tools(), expression)


def test_image_variables_are_no_box_variables():
    with pytest.raises(DataError, match="no variable 'boxes'"):
        box_condition("boxes > 3", TOOLS)


def test_network_pixels_decide_what_is_small():
    """The same box is kept at 608 and dropped at 416: 4.93 px against 7.2 px of 12 in 1013."""
    image = Sample(Path("x.jpg"), [(0, 0, 12, 12), (0, 0, 500, 500)], [0, 1], size=(1013, 1013))
    data = Dataset([image], "ab")
    small = ops.drop_small(data, "5@416x416")
    assert small[0].classes.tolist() == [1]
    assert small.report.counts["too-small"] == 1
    assert "a of 4.93x4.93 is smaller than 5@416x416" in str(small.report)
    assert len(ops.drop_small(data, "5@608x608")[0]) == 2
    assert ops.drop_small(data, "12")[0].classes.tolist() == [0, 1]
    assert ops.drop_small(data, "12.1")[0].classes.tolist() == [1]


def test_small_boxes_of_other_splits_stay():
    images = [sample("a.jpg", 0, 0, split="train"), sample("b.jpg", 0, 0, split="val")]
    done = ops.drop_small(dataset(*images), "50", splits=["train"], keep_emptied=True)
    assert [len(s) for s in done] == [0, 2]


def test_emptied_images_are_left_out_and_reported():
    """An image that lost its boxes is not known to be background."""
    done = ops.drop_boxes(tools(), "label == 'screwdriver'")
    assert names_of(done) == ["mixed.jpg", "three.jpg", "none.jpg"]
    assert done.report.counts["emptied"] == 2
    kept = ops.drop_boxes(tools(), "label == 'screwdriver'", keep_emptied=True)
    assert names_of(kept) == names_of(tools())
    assert kept[0].status is Status.BACKGROUND
    assert kept[4].status is Status.BACKGROUND


def test_equal_files_once(tmp_path):
    paths = [make_image(tmp_path / f"{i}.png", 8, 8) for i in range(3)]
    paths[1].write_bytes(make_image(tmp_path / "other.png", 9, 8).read_bytes())
    done = ops.drop_duplicates(Dataset([Sample(p) for p in paths], "a"))
    assert [s.image for s in done] == paths[:2]
    assert f"repeats {paths[0]}" in str(done.report)


def test_unknown_kinds_of_duplicates_are_refused():
    with pytest.raises(DataError, match="exact or near, not 'equal'"):
        ops.drop_duplicates(tools(), "equal")


def test_one_class_only():
    done = ops.only_class(tools(), "drill")
    assert names_of(done) == ["mixed.jpg"]
    assert done[0].classes.tolist() == [0]
    with pytest.raises(DataError, match="no class 'dril'; did you mean 'drill'"):
        ops.only_class(tools(), "dril")


def test_operations_leave_their_source_alone():
    """Read-only arrays and new samples: nothing a caller holds changes."""
    data = tools()
    before = [s.boxes.copy() for s in data]
    ops.drop_boxes(data, "x > 0.1", keep_emptied=True)
    ops.drop_small(data, "50")
    assert all(np.array_equal(a, b.boxes) for a, b in zip(before, data, strict=True))
    assert len(data.report) == 0
