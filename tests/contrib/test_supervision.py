# SPDX-License-Identifier: Apache-2.0
"""Data sets and detections to and from supervision."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest

from pydarknet import Detections
from pydarknet.contrib.supervision import from_supervision, to_supervision
from pydarknet.data import ANY_CLASS, Dataset, Flag, Sample, Status
from pydarknet.errors import MissingExtra

try:
    import supervision as sv
except ImportError:
    sv = None

needed = pytest.mark.skipif(sv is None, reason="supervision is not installed (extra: supervision)")


@pytest.fixture
def data(tmp_path) -> Dataset:
    """A labelled, an empty and an unlabelled image, and one that lost its boxes."""
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for path in paths:
        cv2.imwrite(str(path), np.zeros((40, 50, 3), np.uint8))
    boxes, flags = [(1.25, 2, 30, 20), (0, 0, 50, 40), (5, 5, 9, 9)], [0, Flag.CROWD, Flag.IGNORE]
    return Dataset(
        [
            Sample(paths[0], boxes, [1, 0, ANY_CLASS], flags=flags, split="val", name="sub/0.png"),
            Sample(paths[1]),
            Sample(paths[2], status=Status.UNLABELLED),
            Sample(paths[3], status=Status.ANNOTATED),
        ],
        ("cat", "dog"),
    )


@needed
def test_there(data):
    """supervision sees the classes, the paths, the boxes and, lazily, the pixels."""
    found = to_supervision(data)
    assert isinstance(found, sv.DetectionDataset)
    assert found.classes == ["cat", "dog"]
    assert len(found) == 3
    path, pixels, detections = found[0]
    assert path == str(data[0].image)
    assert pixels.shape == (40, 50, 3)
    assert detections.xyxy.tolist() == [[1.25, 2, 30, 20], [0, 0, 50, 40]]
    assert detections.class_id.tolist() == [1, 0]


@needed
def test_there_and_back(data):
    """Boxes, classes, flags, splits, names and statuses survive; what supervision cannot hold is left out."""
    again = from_supervision(to_supervision(data))
    assert again.names == data.names
    assert [s.name for s in again] == ["sub/0.png", "1.png", "3.png"]
    assert np.array_equal(again[0].boxes, data[0].boxes[:2])
    assert np.array_equal(again[0].flags, data[0].flags[:2])
    assert again[0].classes.tolist() == [1, 0]
    assert (again[0].split, again[0].size) == ("val", (50, 40))
    assert [s.status for s in again] == [Status.ANNOTATED, Status.BACKGROUND, Status.ANNOTATED]
    assert len(again.report) == 0


@needed
def test_from_supervisions_own_readers(data, tmp_path):
    """A set that supervision read from YOLO files comes in whole."""
    from pydarknet.data import write

    first = data.replace(samples=[data[0].replace(name="0.png")])
    write(first, tmp_path / "ds", format="yolov5", ignore="box")
    read = sv.DetectionDataset.from_yolo(
        str(tmp_path / "ds/images/val"), str(tmp_path / "ds/labels/val"), str(tmp_path / "ds/data.yaml")
    )
    found = from_supervision(read)
    assert found.names == ("cat", "dog")
    assert np.allclose(found[0].boxes, data[0].boxes[:2], atol=1e-3)
    assert found[0].flags.tolist() == [0, 0]


@needed
def test_boxes_outside_are_repaired_and_reported(data):
    path = str(data[1].image)
    boxes = np.array([[-5, 0, 10, 10], [60, 0, 70, 10], [3, 3, 3, 9]], np.float32)
    found = sv.DetectionDataset(["cat"], [path], {path: sv.Detections(xyxy=boxes, class_id=np.zeros(3, int))})
    done = from_supervision(found)
    assert done[0].boxes.tolist() == [[0, 0, 10, 10]]
    assert done.report.counts == {"clipped": 1, "outside": 2}


@needed
def test_neither_changes_its_source(data):
    before = [s.boxes.copy() for s in data]
    there = to_supervision(data)
    there[0][2].xyxy[:] = 0
    assert all(np.array_equal(a, s.boxes) for a, s in zip(before, data, strict=True))


def test_without_supervision(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingExtra, match=r"pip install 'pydarknet\[supervision\]'"):
        to_supervision(data)
    with pytest.raises(MissingExtra, match="supervision is not installed"):
        from_supervision(None)


# -- what was found in an image ----------------------------------------------------------------------------


@needed
@pytest.mark.parametrize("tracked", [False, True])
def test_detections_and_back(tracked):
    dets = Detections(
        np.array([[1, 2, 3, 4], [-5, 6, 700, 8]], np.float32),
        np.array([0.5, 0.25], np.float32),
        np.array([1, 0], np.int32),
        ("dog", "cat", "bird"),
        (640, 480),
        np.array([7, -1]) if tracked else None,
    )
    there = dets.to_supervision()
    assert there.data["class_name"].tolist() == ["cat", "dog"]
    assert there.xyxy.tolist() == [[1, 2, 3, 4], [-5, 6, 700, 8]]
    assert (None if there.tracker_id is None else there.tracker_id.tolist()) == ([7, -1] if tracked else None)
    back = from_supervision(there)
    assert back.to_records() == dets.to_records()
    assert (back.names, back.image_size) == (dets.names, dets.image_size)
    assert from_supervision(there[there.confidence > 0.3]).labels == ["cat"]


@needed
def test_detections_of_others():
    """Missing columns of another library's detections are filled in; supervision's own names are found."""
    bare = sv.Detections(xyxy=np.array([[0.0, 0, 2, 2]]))
    assert from_supervision(bare).to_records() == [
        {"xmin": 0, "ymin": 0, "xmax": 2, "ymax": 2, "confidence": 1, "class": 0, "name": "0"}
    ]
    named = sv.Detections(
        xyxy=np.array([[0.0, 0, 2, 2]]), class_id=np.array([2]), data={"class_name": np.array(["bird"])}
    )
    assert from_supervision(named).labels == ["bird"]
    assert len(from_supervision(sv.Detections.empty())) == 0
