# SPDX-License-Identifier: Apache-2.0
"""Lists, .names and .data for labels that are already there: absolute, complete, nothing else touched."""

from __future__ import annotations

import pytest
import yaml
from data_files import make_image, make_text

from pydarknet.data import Dataset, Sample, Status, ops, read, write
from pydarknet.data.image_lists import has_darknet_labels, write_lists
from pydarknet.errors import DataError


@pytest.fixture
def photos(tmp_path):
    """Four images, three labels; the third is background, the last unlabelled."""
    for i in range(4):
        make_image(tmp_path / "p" / f"{i}.jpg", 10, 10)
    for i, text in enumerate(("0 0.5 0.5 0.2 0.2\n", "1 0.5 0.5 0.2 0.2\n", "")):
        make_text(tmp_path / "p" / f"{i}.txt", text)
    return read(tmp_path / "p", names=("cat", "dog"))


def test_what_is_written_reads_as_the_same_set(photos, tmp_path, monkeypatch):
    """Paths are absolute: the set reads the same from any folder."""
    samples = [s.replace(split="val" if i == 1 else "train") for i, s in enumerate(photos)]
    files = write_lists(photos.replace(samples=samples), tmp_path / "out")
    monkeypatch.chdir("/")
    again = read(files["data"])
    assert again.names == ("cat", "dog")
    assert [(s.image.name, s.split, s.classes.tolist()) for s in again] == [
        ("0.jpg", "train", [0]),
        ("2.jpg", "train", []),
        ("1.jpg", "val", [1]),
    ]
    assert all(line.startswith("/") for line in files["train"].read_text().split())
    assert (tmp_path / "out" / "backup").is_dir()


def test_unlabelled_images_are_not_listed(photos, tmp_path):
    files = write_lists(photos, tmp_path / "out")
    assert [line[-5:] for line in files["train"].read_text().split()] == ["0.jpg", "1.jpg", "2.jpg"]


def test_repetitions_are_listed(photos, tmp_path):
    twice = photos.replace(samples=[photos[0], photos[0], photos[1]])
    lines = write_lists(twice, tmp_path / "out")["train"].read_text().split()
    assert [line[-5:] for line in lines] == ["0.jpg", "0.jpg", "1.jpg"]


def test_yaml_for_yolov5(photos, tmp_path):
    path = write_lists(photos, tmp_path / "out", yaml_too=True)["yaml"]
    content = yaml.safe_load(path.read_text())
    assert content == {"train": str(tmp_path / "out" / "train.txt"), "nc": 2, "names": ["cat", "dog"]}


def test_other_files_are_not_overwritten(photos, tmp_path):
    """Equal files are fine, others need permission, and then nothing at all was written."""
    write_lists(photos, tmp_path / "out")
    write_lists(photos, tmp_path / "out")
    fewer = photos.replace(samples=photos.samples[:1])
    with pytest.raises(DataError, match=r"train\.txt exists with other content"):
        write_lists(fewer, tmp_path / "out")
    assert len((tmp_path / "out" / "train.txt").read_text().split()) == 3
    write_lists(fewer, tmp_path / "out", overwrite=True)
    assert len((tmp_path / "out" / "train.txt").read_text().split()) == 1


def test_labels_that_are_not_there(tmp_path):
    image = make_image(tmp_path / "x.jpg", 10, 10)
    data = Dataset([Sample(image, [(0, 0, 5, 5)], [0])], "a")
    assert not has_darknet_labels(data)
    with pytest.raises(DataError, match=r"x\.jpg: no Darknet label file; pydarknet convert"):
        write_lists(data, tmp_path)
    assert has_darknet_labels(Dataset([Sample(image, status=Status.UNLABELLED)], "a"))


def test_labels_of_an_older_conversion_do_not_count(tmp_path):
    """A text file beside the image that the set was not read from may say anything."""
    image = make_image(tmp_path / "x.jpg", 10, 10)
    make_text(image.with_suffix(".txt"), "3 0.5 0.5 0.1 0.1\n")
    sample = Sample(image, [(0, 0, 5, 5)], [0], source=str(tmp_path / "x.xml"))
    assert not has_darknet_labels(Dataset([sample], "a"))


def test_a_path_of_two_lines(tmp_path):
    image = make_image(tmp_path / "two\nlines.jpg", 10, 10)
    make_text(image.with_suffix(".txt"), "")
    with pytest.raises(DataError, match="a list has one path per line"):
        write_lists(Dataset([Sample(image)], "a"), tmp_path / "out")


def test_validation_part_alone_stays_validation(photos, tmp_path):
    """No key ``train`` where nothing is to be trained on; a merge keeps both roles."""
    train = photos.replace(samples=[s.replace(split="train") for s in photos][:1])
    val = photos.replace(samples=[s.replace(split="val") for s in photos][1:3])
    for name, part in (("train", train), ("val", val)):
        write(part, tmp_path / name)
    text = (tmp_path / "val/obj.data").read_text()
    assert "train =" not in text
    assert f"valid = {tmp_path}/val/valid.txt" in text
    both = ops.merge(read(tmp_path / "train/obj.data"), read(tmp_path / "val/obj.data"))
    assert {split: len(both.only(split)) for split in both.splits} == {"train": 1, "val": 2}
    write(both, tmp_path / "both")
    assert [s.split for s in read(tmp_path / "both")] == ["train", "val", "val"]
