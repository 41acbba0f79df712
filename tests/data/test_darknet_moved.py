# SPDX-License-Identifier: Apache-2.0
"""A Darknet data set whose folder moved: absolute paths in its .data file and lists are found beside it."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from pydarknet.data import Dataset, Sample, read, write
from pydarknet.engine.names import names_from
from pydarknet.errors import DataError


@pytest.fixture
def converted(tmp_path: Path) -> Path:
    """A set as ``convert`` writes it, with absolute paths."""
    samples = []
    for number in range(4):
        image = tmp_path / f"source/image{number}.png"
        image.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(image), np.full((20, 40, 3), number, np.uint8))
        split = "train" if number < 3 else "val"
        samples.append(Sample(image, [[number, 2, 10, 12]], [0], size=(40, 20), split=split))
    write(Dataset(samples, ["thing"]), tmp_path / "here/set", "darknet")
    data = tmp_path / "here/set/obj.data"
    assert f"train = {tmp_path}/here/set/train.txt" in data.read_text()
    return data


def content(path: Path) -> list[tuple[str, str, list[list[float]]]]:
    return [(sample.name, sample.split, sample.boxes.tolist()) for sample in read(path)]


def test_a_set_that_moved(converted: Path, tmp_path: Path) -> None:
    """Another mount point, and other names of the folder itself."""
    before = content(converted)
    for place in ("elsewhere", "deep/er/renamed"):
        moved = tmp_path / place
        moved.parent.mkdir(parents=True, exist_ok=True)
        converted.parent.rename(moved)
        converted = moved / "obj.data"
        found = read(converted)
        assert content(converted) == before
        assert all(sample.image.is_relative_to(moved) for sample in found)
        assert found.report.counts["note"] == 1
        assert names_from(converted) == ("thing",)


@pytest.mark.parametrize("name", ["obj.data", "train.txt"])
def test_only_the_lists_have_absolute_paths(converted: Path, tmp_path: Path, name: str) -> None:
    """As in sets made for one machine: a relative .data file, lists of absolute paths; or a list alone."""
    converted.write_text("classes=1\ntrain=train.txt\nvalid=valid.txt\nnames=obj.names\n")
    expected = content(converted.parent / name)
    moved = converted.parent.rename(tmp_path / "moved")
    assert content(moved / name) == expected
    assert read(moved / name).report.counts["note"] == (2 if name == "obj.data" else 1)


def test_a_copy_reads_the_original_while_that_exists(converted: Path, tmp_path: Path) -> None:
    """Absolute paths mean what they say; only files that are gone are looked for."""
    copy = shutil.copytree(converted.parent, tmp_path / "copy")
    assert all(sample.image.is_relative_to(converted.parent) for sample in read(copy / "obj.data"))


def test_a_list_of_another_set_is_not_taken(converted: Path, tmp_path: Path) -> None:
    """An image that is gone is not replaced by one of equal name: only a folder that moved as a whole is."""
    listed = converted.parent / "train.txt"
    listed.write_text(listed.read_text() + "/gone/train/image0.png\n")
    found = read(converted)
    assert len(found) == 4
    assert found.report.counts["missing-image"] == 1


def test_a_file_that_is_nowhere(converted: Path, tmp_path: Path) -> None:
    moved = converted.parent.rename(tmp_path / "moved")
    (moved / "obj.names").unlink()
    with pytest.raises(DataError, match=r"names file .* is not there"):
        read(moved / "obj.data")
