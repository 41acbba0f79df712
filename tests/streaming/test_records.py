# SPDX-License-Identifier: Apache-2.0
"""Formats of records, by their definition."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_results import NAMES, NOTHING, TWO, dets, result

from pydarknet import ArgumentError, FileError, data
from pydarknet.streaming.outputs import labelling
from pydarknet.streaming.outputs import text as outputs
from pydarknet.streaming.result import Result


def written(make: Callable[[str], outputs.TextFile], tmp_path: Path, *results: Result) -> str:
    output = make(str(tmp_path / "out.txt"))
    for one in results:
        output.write(one, lambda: None)
    assert output.close() == f"detections in {tmp_path / 'out.txt'}"
    return (tmp_path / "out.txt").read_text()


# -- records -------------------------------------------------------------------------------------------


def test_darknet_json(tmp_path: Path) -> None:
    one, two = json.loads(written(outputs.darknet_json, tmp_path, result(TWO), result(NOTHING, "b.jpg")))
    assert (one["frame_id"], one["filename"], two["objects"]) == (1, "in/a.jpg", [])
    assert one["objects"][0] == {
        "class_id": 0,
        "name": "dog",
        "relative_coordinates": {"center_x": 0.15, "center_y": 0.4, "width": 0.2, "height": 0.4},
        "confidence": 0.9,
    }


def test_json_lines(tmp_path: Path) -> None:
    tracked = dets((10, 20, 50, 60, 0.5, 0), tracks=[7])
    video = result(tracked, "f.mp4", 3, time=0.12, still=False)
    (line,) = written(outputs.json_lines, tmp_path, video).splitlines()
    assert json.loads(line) == {
        "source": "f.mp4", "frame": 3, "time": 0.12, "width": 200, "height": 100,
        "objects": [{"xmin": 10, "ymin": 20, "xmax": 50, "ymax": 60, "confidence": 0.5, "class": 0,
                     "name": "dog", "track_id": 7}],
    }  # fmt: skip


def test_csv(tmp_path: Path) -> None:
    text = written(outputs.csv_table, tmp_path, result(TWO, "with, comma.jpg"), result(NOTHING))
    rows = list(csv.DictReader(text.splitlines()))
    assert [(row["source"], row["name"], row["xmax"], row["track_id"]) for row in rows] == [
        ("with, comma.jpg", "dog", "50.00", ""), ("with, comma.jpg", 'a "cat"', "210.00", ""),
    ]  # fmt: skip


def test_coco_results(tmp_path: Path) -> None:
    one = result(TWO, "val/COCO_val2014_000000000042.jpg")
    entries = json.loads(written(outputs.coco_results, tmp_path, result(NOTHING), one))
    assert entries == [
        {"image_id": 42, "category_id": 1, "bbox": [10, 20, 40, 40], "score": 0.9},
        {"image_id": 42, "category_id": 2, "bbox": [0, 10, 200, 90], "score": 0.6},
    ]


def test_coco_ids() -> None:
    coco = ["person", *map(str, range(1, 79)), "toothbrush"]
    # the first, the last before the first gap, the first after it, the last: from COCO's annotation file
    assert [outputs.category_id(i, coco) for i in (0, 10, 11, 79)] == [1, 11, 13, 90]
    assert outputs.category_id(4, NAMES) == 5
    assert [outputs.image_number(name, 9) for name in ("12_a.jpg", "a_13.jpg", "x/14.png", "a.jpg")] == [
        12,
        13,
        14,
        9,
    ]


def test_yolo_labels(tmp_path: Path) -> None:
    labels = outputs.Labels(str(tmp_path / "labels"))
    for one in (result(TWO), result(NOTHING, "other/a.jpg"), result(TWO, "f.mp4", 11, still=False)):
        labels.write(one, lambda: None)
    assert labels.close() == f"3 label files in {tmp_path / 'labels'}"
    assert {path.name for path in (tmp_path / "labels").iterdir()} == {"a.txt", "a_2.txt", "f_12.txt"}
    assert (tmp_path / "labels" / "a.txt").read_text() == (
        "0 0.150000 0.400000 0.200000 0.400000\n1 0.500000 0.550000 1.000000 0.900000\n"
    )
    assert (tmp_path / "labels" / "a_2.txt").read_text() == ""


def test_yolo_labels_with_confidence_and_track(tmp_path: Path) -> None:
    labels = outputs.Labels(str(tmp_path), confidence=True)
    labels.write(result(dets((0, 0, 200, 100, 0.5, 2), tracks=[4])), lambda: None)
    assert (tmp_path / "a.txt").read_text() == "2 0.500000 0.500000 1.000000 1.000000 0.500000 4\n"


def test_kaggle_loc(tmp_path: Path) -> None:
    many = dets(*[(10 + i, 20, 50, 60, 0.1 * i, i % 3) for i in range(1, 8)])
    text = written(
        outputs.kaggle_loc,
        tmp_path,
        result(many, "ILSVRC2012_test_1.JPEG"),
        result(NOTHING, "b.JPEG"),
        result(TWO, "c"),
    )
    header, first, second, third = text.splitlines()
    assert header == "ImageId,PredictionString"
    words = first.partition(",")[2].split()
    assert first.startswith("ILSVRC2012_test_1,2 17 20 49 59 1 16 ")  # best first; whole, 0-based, inclusive
    assert len(words) == 5 * 5
    assert second == "b,"
    assert third == "c,1 10 20 49 59 2 0 10 199 99"  # inside the image


def test_kaggle_loc_with_the_mapping(tmp_path: Path) -> None:
    (tmp_path / "map.txt").write_text("n01 bird, fowl\nn02 dog, hound\n")
    make = lambda path: outputs.kaggle_loc(path, str(tmp_path / "map.txt"))  # noqa: E731
    assert written(make, tmp_path, result(TWO[0])).splitlines()[1] == "a,2 10 20 49 59"
    output = make(str(tmp_path / "none.txt"))
    with pytest.raises(ArgumentError, match="class 'a \"cat\"' is not in the mapping"):
        output.write(result(TWO), lambda: None)
    assert output.close() == ""
    assert not (tmp_path / "none.txt").exists()


def test_nothing_good_is_replaced_by_nothing(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    path.write_text("good")
    assert outputs.darknet_json(str(path)).close() == ""
    assert path.read_text() == "good"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_appears_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "found.jsonl"
    path.write_text("old")
    output = outputs.json_lines(str(path))
    output.write(result(TWO), lambda: None)
    assert path.read_text() == "old"
    output.close()
    assert json.loads(path.read_text())["source"] == "in/a.jpg"


def test_an_unwritable_folder_is_found_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="cannot be written"):
        outputs.csv_table(str(tmp_path / "file" / "x.csv"))


def test_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    output = outputs.json_lines("-")
    output.write(result(TWO), lambda: None)
    assert json.loads(capsys.readouterr().out)["frame"] == 0  # there before the end
    assert output.close() == ""


@pytest.mark.parametrize("make", [labelling.label_studio, labelling.CvatFile])
def test_labelling_tools(tmp_path: Path, make: Callable[[str, str], outputs.TextFile]) -> None:
    """Scores, names and boxes come back through the reader of the tool's format."""
    for name in ("a b.jpg", "c.jpg"):
        assert cv2.imwrite(str(tmp_path / name), np.zeros((100, 200, 3), np.uint8))
    file = tmp_path / ("a.xml" if make is labelling.CvatFile else "a.json")
    output = make(str(file), "yolo--7")
    for one in (result(TWO, str(tmp_path / "a b.jpg")), result(NOTHING, str(tmp_path / "c.jpg"))):
        output.write(one, lambda: None)
    output.close()
    settings = {} if make is labelling.CvatFile else {"predictions": "yes"}
    dataset = data.read(file, names=NAMES, **settings)
    assert [sample.name for sample in dataset] == ["a b.jpg", "c.jpg"]
    assert dataset[0].boxes.round(3).tolist() == [[10, 20, 50, 60], [0, 10, 200, 100]]
    assert dataset[0].scores.round(3).tolist() == [0.9, 0.6]
    assert [dataset.names[c] for c in dataset[0].classes] == ["dog", 'a "cat"']
    assert ("yolo--7" in file.read_text()) is (make is labelling.label_studio)
    assert ('source="auto"' in file.read_text()) is (make is labelling.CvatFile)


def test_label_studio_addresses(tmp_path: Path) -> None:
    """Tasks have the model's name and the address of local files; frames of a video are numbered images."""
    output = labelling.label_studio(str(tmp_path / "t.json"), "net")
    output.write(result(TWO, "/data/ü 1.jpg"), lambda: None)
    output.write(result(TWO, "f.mp4", 4, still=False), lambda: None)
    output.close()
    tasks = json.loads((tmp_path / "t.json").read_text())
    assert [task["data"]["image"] for task in tasks] == [
        "/data/local-files/?d=data/%C3%BC%201.jpg",
        "/data/local-files/?d=f_5.jpg",
    ]
    assert tasks[0]["predictions"][0]["model_version"] == "net"
    assert tasks[0]["predictions"][0]["score"] == pytest.approx(0.75)
