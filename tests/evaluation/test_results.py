# SPDX-License-Identifier: Apache-2.0
"""Results for evaluation servers, and ``pydarknet detector valid``, which writes them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import run

from pydarknet import Detections
from pydarknet.data import read
from pydarknet.errors import ArgumentError, FileError
from pydarknet.evaluation.columns import Judged
from pydarknet.evaluation.evaluation import Evaluation
from pydarknet.streaming.outputs import result_files

NAMES = ("cat", "dog/puppy")


def found() -> result_files.Found:
    """A cat that leaves the image of 100 x 50 on two sides, a dog in the middle; an empty image."""
    boxes = np.array([(-5, -5, 10, 20), (40.25, 10, 80.5, 60)], np.float32)
    dets = Detections(boxes, np.array([0.9, 0.25], np.float32), np.array([0, 1]), NAMES, (100, 50))
    return [(Path("a/COCO_val2014_000000000042.jpg"), dets), (Path("b.c.png"), dets[:0])]


def test_voc_counts_pixels_from_one(tmp_path: Path) -> None:
    paths = result_files.voc(found(), tmp_path, NAMES)
    assert [path.name for path in paths] == ["comp4_det_test_cat.txt", "comp4_det_test_dog_puppy.txt"]
    stem = "COCO_val2014_000000000042"
    assert paths[0].read_text() == f"{stem} 0.900000 1.000000 1.000000 11.000000 21.000000\n"
    assert paths[1].read_text() == f"{stem} 0.250000 41.250000 11.000000 81.500000 50.000000\n"


def test_voc_writes_no_class_over_another(tmp_path: Path) -> None:
    (image, dets), _ = found()
    paths = result_files.voc([(image, dets)], tmp_path, ("dog_puppy", "dog/puppy"))
    assert [path.name for path in paths] == ["comp4_det_test_dog_puppy.txt", "comp4_det_test_dog_puppy_2.txt"]
    assert [path.read_text().split()[1] for path in paths] == ["0.900000", "0.250000"]


def test_coco_has_the_image_number_of_the_file_name(tmp_path: Path) -> None:
    (path,) = result_files.coco(found(), tmp_path / "c.json")
    assert json.loads(path.read_text()) == [
        {"image_id": 42, "category_id": 1, "bbox": [0, 0, 10, 20], "score": 0.9},
        {"image_id": 42, "category_id": 2, "bbox": [40.25, 10, 40.25, 40], "score": 0.25},
    ]


def test_coco_with_the_ids_of_a_data_set(tmp_path: Path) -> None:
    ids = {"COCO_val2014_000000000042.jpg": 7}
    (path,) = result_files.coco(found(), tmp_path / "c.json", ids, {"cat": 17})
    entries = json.loads(path.read_text())
    assert [(entry["image_id"], entry["category_id"]) for entry in entries] == [(7, 17), (7, 2)]


def test_imagenet_counts_images_and_classes_from_one(tmp_path: Path) -> None:
    (path,) = result_files.imagenet(found(), tmp_path / "i.txt")
    assert path.read_text().splitlines() == [
        "1 1 0.900000 0.000000 0.000000 10.000000 20.000000",
        "1 2 0.250000 40.250000 10.000000 80.500000 50.000000",
    ]


def test_bdd_is_one_json_list(tmp_path: Path) -> None:
    (path,) = result_files.bdd(found(), tmp_path / "b.json", NAMES)
    first, second = json.loads(path.read_text())
    assert first == {
        "name": "COCO_val2014_000000000042.jpg",
        "category": "cat",
        "bbox": [0, 0, 10, 20],
        "score": 0.9,
    }
    assert second["bbox"] == [40.25, 10, 80.5, 50]
    (path,) = result_files.bdd(found(), tmp_path / "b.json", [str(i) for i in range(10)])
    assert [entry["category"] for entry in json.loads(path.read_text())] == ["bike", "bus"]


def test_kitti_has_a_file_for_each_image(tmp_path: Path) -> None:
    paths = result_files.kitti(found(), tmp_path / "data", ("x", "y", "z"))
    assert [path.name for path in paths] == ["COCO_val2014_000000000042.txt", "b.c.txt"]
    assert paths[0].read_text().splitlines() == [
        "car -1 -1 -10 0.000000 0.000000 10.000000 20.000000 -1 -1 -1 -1000 -1000 -1000 -10 0.900000",
        "pedestrian -1 -1 -10 40.250000 10.000000 80.500000 50.000000 "
        "-1 -1 -1 -1000 -1000 -1000 -10 0.250000",
    ]
    assert paths[1].read_text() == ""


def test_kitti_has_no_file_of_two_images(tmp_path: Path) -> None:
    (_, first), (_, second) = found()
    same = [(Path("a/1.png"), first), (Path("b/1.png"), second)]
    with pytest.raises(FileError, match=r"data/1\.txt: would be the file of two images, a/1.png and b/1.png"):
        result_files.kitti(same, tmp_path / "data", ("x", "y", "z"))
    assert not (tmp_path / "data").exists()


def test_kaggle_by_the_mapping(tmp_path: Path) -> None:
    mapping = tmp_path / "LOC_synset_mapping.txt"
    mapping.write_text("n01 fish\nn02 cat, house cat\nn03 dog/puppy\n")
    (path,) = result_files.kaggle(found(), tmp_path / "k.csv", str(mapping))
    head, first, second = path.read_text().splitlines()
    assert head == "ImageId,PredictionString"
    assert first.startswith("COCO_val2014_000000000042,2 0 0 9 19 3 40 10 ")
    assert second == "b.c,"
    mapping.write_text("n01 fish\n")
    with pytest.raises(ArgumentError, match="class 'cat' is not in the mapping of synsets"):
        result_files.kaggle(found(), tmp_path / "k2.csv", str(mapping))
    assert not (tmp_path / "k2.csv").exists()


# -- the command


@pytest.fixture
def words(tiny_files: tuple[Path, Path], levels: np.ndarray, tmp_path: Path) -> list[Path]:
    """The self-test's network and image, in which it finds one object at (2, 2, 4, 4)."""
    for number in range(5):
        cv2.imwrite(str(tmp_path / f"image{number}.png"), levels)
        (tmp_path / f"image{number}.txt").write_text("0 0.75 0.75 0.5 0.5\n")
    images = [tmp_path / f"image{number}.png" for number in range(5)]
    (tmp_path / "valid.txt").write_text("".join(f"{image}\n" for image in images))
    (tmp_path / "obj.names").write_text("thing\n")
    data = tmp_path / "obj.data"
    data.write_text(f"valid = {tmp_path}/valid.txt\nnames = {tmp_path}/obj.names\nresults = {tmp_path}/res\n")
    return [data, *tiny_files]


VOC = r"image0 0\.730393 3\.000000 3\.000000 4\.000000 4\.000000"
COCO = r'\[\n\{"image_id": 0, "category_id": 1, "bbox": \[2\.0, 2\.0, 2\.0, 2\.0\], "score": 0\.730393\}'


@pytest.mark.parametrize(
    ("kind", "options", "name", "start"),
    [
        ("", [], "comp4_det_test_thing.txt", VOC),
        ("voc", ["-out", "mine_"], "mine_thing.txt", VOC),
        (
            "imagenet",
            [],
            "imagenet-detection.txt",
            r"1 1 0\.730393 2\.000000 2\.000000 4\.000000 4\.000000",
        ),
        ("kitti", [], "kitti_results/data/image0.txt", r"thing -1 -1 -10 2\.000000 2\.000000 4\.000000 4"),
        ("coco", [], "coco_results.json", COCO),
        ("coco", ["-out", "mine"], "mine.json", COCO),
        (
            "bdd",
            [],
            "bdd_results.json",
            r'\[\n\{"name": "image0.png", "category": "thing", "bbox": \[2\.0, 2',
        ),
    ],
)
def test_detector_valid(
    words: list[Path],
    tmp_path: Path,
    kind: str,
    options: list[str],
    name: str,
    start: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The object that the self-test's arithmetic finds, 0.7310586 * 0.9990889, in Darknet's file."""
    if kind:
        words[0].write_text(f"{words[0].read_text()}eval = {kind}\n")
    assert run(monkeypatch, "detector", "valid", *words, *options) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"\r4\r8\nTotal Detection Time: \d+\.\d{6} Seconds\nresults: .*\n", err)
    assert re.match(start, (tmp_path / "res" / name).read_text())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("eval = pascal", "found eval = pascal, expected one of voc, coco, imagenet, bdd, kitti"),
        ("map = coco9k.map", r"found a class map; it belongs in the cfg: map = FILE in [region]"),
    ],
)
def test_valid_refuses(
    words: list[Path],
    line: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words[0].write_text(f"{words[0].read_text()}{line}\n")
    assert run(monkeypatch, "detector", "valid", *words) == 1
    err = capsys.readouterr().err
    assert message in err


def test_coco_results_can_be_read_with_the_set_they_are_of(tmp_path: Path) -> None:
    """The ids of a COCO data set are found by file and class name."""
    from pydarknet.data.formats import coco

    cv2.imwrite(str(tmp_path / "x.png"), np.zeros((50, 100, 3), np.uint8))
    table = {
        "images": [{"id": 77, "file_name": "x.png", "width": 100, "height": 50}],
        "categories": [{"id": 30, "name": "dog"}, {"id": 20, "name": "cat"}],
        "annotations": [],
    }
    file = tmp_path / "instances_val.json"
    file.write_text(json.dumps(table))
    assert coco.numbers(file) == ({"x.png": 77}, {"dog": 30, "cat": 20})
    assert read(file).names == ("cat", "dog")


def test_the_table_says_how_it_counts() -> None:
    """A weak duplicate that is listed first makes the strong one false, while AP goes by confidence."""
    boxes = np.array([[0, 0, 100, 90], [0, 0, 100, 100]])
    truths, none = np.array([[0, 0, 100, 100]]), np.array([0, 0])
    one = Judged(boxes, np.array([0.1, 0.9]), none, truths, np.array([0]), path="a", size=(200, 200))
    text = Evaluation([one], ["cat"]).text()
    assert re.search(r"^cat +1 +100\.00 +[\d.]+ +0 +1 +1$", text, re.MULTILINE)
    assert "of several detections of one object, the first listed is true" in text
