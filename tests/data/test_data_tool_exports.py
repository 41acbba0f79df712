# SPDX-License-Identifier: Apache-2.0
"""Exports of labelling tools and public data sets: recognised as file, folder and archive, with hand values.

Every example of ``tool_exports`` has a dog at 20,10,60,40 and one object that cannot be read.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from data_files import make_image, make_text
from tool_exports import EXPORTS

from pydarknet import data
from pydarknet.data import Flag, Status
from pydarknet.data.formats import sniff
from pydarknet.errors import DataError

DOG = [20.0, 10.0, 60.0, 40.0]


CASES = [(name, make) for name, makers in EXPORTS.items() for make in makers]


@pytest.mark.parametrize(("name", "make"), CASES, ids=[make.__name__ for _, make in CASES])
def test_the_dog_is_found(tmp_path: Path, name: str, make: Callable[[Path], Path]) -> None:
    """One object of each example is odd: it is reported, and the dog beside it stays."""
    given = make(tmp_path / "set")
    archive = shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path / "set")
    for path in (given, given if given.is_dir() else given.parent, Path(archive)):
        assert path.suffix == ".zip" or sniff(path) == name
        dataset = data.read(path)
        sample = dataset[0]
        assert sample.status is Status.ANNOTATED
        names = [dataset.names[class_id] for class_id in sample.classes]
        dogs = [box for box, label in zip(sample.boxes.tolist(), names, strict=True) if label == "dog"]
        assert dogs == [DOG]
        odd = [
            issue
            for issue in dataset.report.issues
            if issue.severity != "note" and issue.code != "size-mismatch"
        ]
        assert len(odd) == 1, [str(issue) for issue in odd]


@pytest.mark.parametrize(("name", "make"), CASES, ids=[make.__name__ for _, make in CASES])
def test_without_its_images(tmp_path: Path, name: str, make: Callable[[Path], Path]) -> None:
    """Nothing is invented for an image that is not there."""
    given = make(tmp_path / "set")
    for image in (tmp_path / "set").rglob("*.jpg"):
        image.unlink()
    dataset = data.read(given, name)
    assert len(dataset) == 0
    assert dataset.report.counts["missing-image"] == 1


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES}))
def test_an_empty_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=str(tmp_path)):
        data.read(tmp_path, name)


def test_details(tmp_path: Path) -> None:
    """Splits, flags, envelopes, class order and names inside the set."""
    roots = {make.__name__: make(tmp_path / make.__name__) for _, make in CASES}
    read = {name: data.read(path) for name, path in roots.items()}
    assert read["createml"][0].split == "train"
    assert read["vott"].names == ("cat", "dog", "pet")
    assert read["vott"][0].boxes.tolist() == [DOG, DOG]
    assert read["bdd100k"][0].split == "train"
    assert read["bdd100k"][0].flags.tolist() == [int(Flag.OCCLUDED)]
    assert read["supervisely"].names == ("cat", "dog")
    assert read["supervisely"][0].boxes.tolist() == [DOG, DOG]
    assert read["supervisely"][0].split == "train"
    assert read["datumaro"][0].boxes.tolist() == [DOG, [100, 10, 140, 40]]
    assert read["datumaro"][0].flags.tolist() == [int(Flag.OCCLUDED), 0]
    assert read["labelbox"][0].boxes.tolist() == [DOG, [100, 10, 140, 40]]
    assert read["mot"][0].name == "S-01/000001.jpg"
    assert read["mot"][0].flags.tolist() == [int(Flag.OCCLUDED), int(Flag.IGNORE)]
    assert [sample.status for sample in read["mot"]] == [Status.ANNOTATED, Status.BACKGROUND]
    assert data.read(tmp_path / "mot")[0].split == "train"
    assert data.read(roots["mot"], coords="edge")[0].boxes[0].tolist() == [21, 11, 61, 41]
    assert read["dota"][0].boxes.tolist() == [DOG, [100, 10, 140, 40]]
    assert read["dota"][0].flags.tolist() == [0, int(Flag.DIFFICULT)]
    assert read["dota"][0].split == "train"


def test_mot15(tmp_path: Path) -> None:
    """Ten columns and no class: pedestrians."""
    make_image(tmp_path / "img1/000001.jpg", 200, 100)
    make_text(tmp_path / "gt/gt.txt", "1,1,21,11,40,30,1,-1,-1,-1\n")
    dataset = data.read(tmp_path)
    assert dataset[0].boxes.tolist() == [DOG]
    assert dataset.names[dataset[0].classes[0]] == "pedestrian"
