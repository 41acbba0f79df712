# SPDX-License-Identifier: Apache-2.0
"""Detections: a value that can be selected from, written and drawn."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from pydarknet import ArgumentError, Detections
from pydarknet.engine import darknet_json
from pydarknet.engine.draw import class_colour, draw, text_colour


@pytest.fixture
def dets() -> Detections:
    """Three rows, of which the last two are one box."""
    return Detections(
        np.array([[10, 20, 50, 60], [-5, 0, 30, 40], [-5, 0, 30, 40]], np.float32),
        np.array([0.9, 0.4, 0.3], np.float32),
        np.array([1, 0, 2], np.int32),
        ("cat", "dog", 'quo"te'),
        (100, 80),
    )


def test_indexing_selects_rows(dets: Detections) -> None:
    assert len(dets) == 3
    assert dets[dets.confidence > 0.35].class_id.tolist() == [1, 0]
    assert dets[1:].class_id.tolist() == [0, 2]
    assert dets[np.array([2, 0])].class_id.tolist() == [2, 1]
    assert dets[[True, False, True]].class_id.tolist() == [1, 2]
    assert dets[-1].class_id.tolist() == [2]
    assert [label for row in dets for label in row.labels] == dets.labels == ["dog", "cat", 'quo"te']
    assert dets[0].names == dets.names
    assert dets[0].image_size == dets.image_size
    assert len(dets[dets.confidence > 1]) == 0
    with pytest.raises(IndexError):
        dets[3]


def test_it_is_frozen_and_its_columns_belong_together(dets: Detections) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        dets.confidence = dets.confidence  # type: ignore[misc]
    with pytest.raises(ValueError, match=r"expected \(n, 4\), \(n,\) and \(n,\)"):
        Detections(dets.xyxy[:2], dets.confidence, dets.class_id)


def test_columns_are_read_only_and_compared(dets: Detections) -> None:
    corners = dets.xyxy.copy()
    tracked = dataclasses.replace(dets, tracker_id=np.array([4, 5, 6]))
    copies = (copy.deepcopy(tracked), pickle.loads(pickle.dumps(tracked)))
    assert copies == (tracked, tracked)
    for one in (dets, tracked, dets[1:], Detections.merge([dets, dets]), *copies):
        for column in filter(
            lambda c: c is not None, (one.xyxy, one.confidence, one.class_id, one.tracker_id)
        ):
            with pytest.raises(ValueError, match="read-only"):
                column[0] = 0
    np.testing.assert_array_equal(dets.xyxy, corners)
    assert dets == dataclasses.replace(dets, xyxy=corners)
    assert dets[:0] == Detections.empty(dets.names, dets.image_size)
    others = [
        dets[:2],
        tracked,
        dataclasses.replace(dets, names=()),
        dataclasses.replace(dets, xyxy=corners + 1),
    ]
    assert all(dets != other for other in others)
    assert dets != "dets"


def test_repr_counts_classes(dets: Detections) -> None:
    assert repr(dets) == 'Detections(1 dog, 1 cat, 1 quo"te)'
    assert repr(dets[:0]) == "Detections(nothing)"


def test_records_hold_corners_and_names(dets: Detections) -> None:
    records = dets.to_records()
    assert records[0] == {
        "xmin": 10.0,
        "ymin": 20.0,
        "xmax": 50.0,
        "ymax": 60.0,
        "confidence": pytest.approx(0.9),
        "class": 1,
        "name": "dog",
    }
    json.dumps(records)


def test_a_class_without_a_name_is_its_number(dets: Detections) -> None:
    assert dataclasses.replace(dets, names=("cat",)).labels == ["1", "cat", "2"]


# -- Darknet's JSON ------------------------------------------------------------------------------------------


def test_json_is_darknets_and_valid(dets: Detections) -> None:
    text = dets.to_json('a "b".jpg', 7)
    record = json.loads(text)
    assert (record["frame_id"], record["filename"]) == (7, 'a "b".jpg')
    assert record["objects"][0] == {
        "class_id": 1,
        "name": "dog",
        "relative_coordinates": {"center_x": 0.3, "center_y": 0.5, "width": 0.4, "height": 0.5},
        "confidence": 0.9,
    }
    assert record["objects"][2]["name"] == 'quo"te'
    assert record["objects"][1]["relative_coordinates"]["center_x"] == 0.125  # not clipped at the left border


def test_json_equals_darknets_file_to_the_letter(shared: Path) -> None:
    """Detections rebuilt from the reference file give its text again."""
    path = shared / "fixtures" / "nets" / "yolo-fastest-1.1.dog.json"
    (record,) = json.loads(path.read_text())
    boxes = np.array(
        [list(entry["relative_coordinates"].values()) for entry in record["objects"]], np.float64
    )
    size = np.array([1e6, 1e6])  # pixels fine enough for six decimals
    corners = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)
    names = [""] * 80
    for entry in record["objects"]:
        names[entry["class_id"]] = entry["name"]
    dets = Detections(
        corners * np.tile(size, 2),  # float64, so that no digit is lost on the way
        np.array([entry["confidence"] for entry in record["objects"]]),
        np.array([entry["class_id"] for entry in record["objects"]]),
        tuple(names),
        (10**6, 10**6),
    )
    assert darknet_json.format_file([dets.to_json(record["filename"])]) == path.read_text()


def test_json_of_no_objects_and_no_images_is_valid(dets: Detections) -> None:
    assert json.loads(dets[:0].to_json("x.jpg"))["objects"] == []
    assert json.loads(darknet_json.format_file([])) == []
    both = json.loads(darknet_json.format_file([dets.to_json("a", 1), dets[:0].to_json("b", 2)]))
    assert [record["frame_id"] for record in both] == [1, 2]


def test_json_needs_the_image_size(dets: Detections) -> None:
    with pytest.raises(ArgumentError, match="no image_size"):
        dataclasses.replace(dets, image_size=(0, 0)).to_json()


# -- drawing -------------------------------------------------------------------------------------------------


def test_plot_draws_the_box_in_its_class_colour_on_a_copy(dets: Detections) -> None:
    image = np.zeros((80, 100, 3), np.uint8)
    drawn = dets[0].plot(image)
    assert not image.any()
    assert drawn.shape == (80, 100, 3)
    assert tuple(int(v) for v in drawn[60, 30]) == class_colour(1)  # the lower edge
    assert not drawn[45:55, 15:45].any()  # inside the box nothing is painted


def test_labels_stay_inside_the_image(dets: Detections) -> None:
    blank = np.zeros((80, 100, 3), np.uint8)
    at_top = dataclasses.replace(dets[0], xyxy=np.array([[90, 0, 99, 10]], np.float32))
    label = draw(blank, at_top).any(axis=2) & ~draw(blank, at_top, labels=False, confidence=False).any(axis=2)
    rows, columns = np.nonzero(label)
    assert rows.min() >= 0
    assert columns.min() > 0  # moved to the left, whole
    assert np.count_nonzero(label) > 100


def test_labels_of_equal_boxes_do_not_hide_each_other() -> None:
    """Two boxes with the same upper left corner: both labels' strips are seen whole."""
    boxes = np.array([[40, 60, 200, 200], [40, 60, 150, 150]], np.float32)
    dets = Detections(boxes, np.array([0.9, 0.8], np.float32), np.array([0, 1]), ("first", "second"))
    blank = np.zeros((300, 300, 3), np.uint8)

    def strip(drawn: np.ndarray, class_id: int) -> int:
        return int((drawn == class_colour(class_id)).all(axis=2).sum())

    alone = [strip(dets[i].plot(blank), i) for i in (0, 1)]
    together = [strip(dets.plot(blank), i) for i in (0, 1)]
    for one, both in zip(alone, together, strict=True):
        assert both > 0.75 * one  # the boxes' lines cross; the strips do not


def test_line_width_grows_with_the_image(dets: Detections) -> None:
    def painted(side: int) -> int:
        box = np.array([[side * 0.2, side * 0.2, side * 0.8, side * 0.8]], np.float32)
        big = dataclasses.replace(dets[0], xyxy=box)
        picture = draw(np.zeros((side, side, 3), np.uint8), big, labels=False, confidence=False)
        return int(picture[side // 2].any(axis=1).sum())  # two vertical lines cross the middle row

    assert painted(3000) > 2 * painted(300)
    assert painted(300) >= 4


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(80, 100), (80, 100, 1), (80, 100, 3), (80, 100, 4)])
def test_any_image_can_be_drawn_on(dets: Detections, dtype: type, shape: tuple[int, ...]) -> None:
    drawn = dets.plot(np.full(shape, np.iinfo(dtype).max, dtype))
    assert drawn.shape == (80, 100, 3)
    assert drawn.dtype == np.uint8
    assert (drawn[75, 95] == 255).all()


def test_boxes_far_outside_do_not_break_drawing(dets: Detections) -> None:
    wild = np.array([[-1e9, -1e9, 1e9, 1e9], [np.nan, 0, 5, 5], [50, 50, 10, 10]], np.float32)
    dataclasses.replace(dets, xyxy=wild).plot(np.zeros((80, 100, 3), np.uint8))


def test_neighbouring_classes_differ_in_colour_and_text_is_readable() -> None:
    colours = np.array([class_colour(i) for i in range(80)], float)
    near = np.linalg.norm(colours[1:] - colours[:-1], axis=1)
    assert near.min() > 60
    assert len({class_colour(i) for i in range(80)}) == 80
    assert class_colour(3) == class_colour(3)
    assert text_colour((255, 255, 255)) == (0, 0, 0)
    assert text_colour((0, 0, 128)) == (255, 255, 255)


def test_counts_of_classes_without_names_are_not_two_numbers() -> None:
    boxes, confidence = np.zeros((3, 4), np.float32), np.ones(3, np.float32)
    found = Detections(boxes, confidence, np.array([2, 0, 2]))
    assert found.count_text() == "2 class 2, 1 class 0"
    assert Detections(boxes, confidence, np.array([1, 0, 1]), ("dog", "car")).count_text() == "2 car, 1 dog"
