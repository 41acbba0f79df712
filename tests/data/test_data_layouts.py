# SPDX-License-Identifier: Apache-2.0
"""Folders as exporters and tutorials leave them, recognised and read without a word of help."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data_files import make_image, make_text

from pydarknet import data
from pydarknet.data import Dataset, Sample, ops
from pydarknet.data.classes import ClassPlan
from pydarknet.data.formats import sniff
from pydarknet.errors import DataError

SPLITS = ("train", "valid")
XML = """<annotation><filename>a.jpg</filename><source><database>roboflow.ai</database></source>
<size><width>64</width><height>64</height></size>
<object><name>cup</name><bndbox><xmin>1</xmin><xmax>20</xmax><ymin>3</ymin><ymax>9</ymax></bndbox></object>
</annotation>"""


def coco(box: int) -> str:
    return json.dumps(
        {
            "categories": [{"id": 1, "name": "cup"}],
            "images": [{"id": 0, "file_name": "a.jpg", "height": 64, "width": 64}],
            "annotations": [
                {"id": 0, "image_id": 0, "category_id": 1, "bbox": [box, 2, 3, 4], "segmentation": []}
            ],
        }
    )


def roboflow_coco(root: Path) -> None:
    for place, split in enumerate(SPLITS):
        make_image(root / split / "a.jpg", 64, 64)
        make_text(root / split / "_annotations.coco.json", coco(place))


def official_coco(root: Path) -> None:
    for place, split in enumerate(("train2017", "val2017")):
        make_image(root / split / "a.jpg", 64, 64)
        make_text(root / "annotations" / f"instances_{split}.json", coco(place))
        captions = {
            "images": [{"id": 0, "file_name": "a.jpg"}],
            "annotations": [{"image_id": 0, "caption": "x"}],
        }
        make_text(root / "annotations" / f"captions_{split}.json", json.dumps(captions))


def roboflow_voc(root: Path) -> None:
    for split in SPLITS:
        make_image(root / split / "a.jpg", 64, 64)
        make_text(root / split / "a.xml", XML)


def roboflow_csv(root: Path) -> None:
    for split in SPLITS:
        make_image(root / split / "a.jpg", 64, 64)
        text = "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,64,64,cup,1,2,3,4\n"
        make_text(root / split / "_annotations.csv", text)


def roboflow_darknet(root: Path) -> None:
    for split in SPLITS:
        make_image(root / split / "a.jpg", 64, 64)
        make_text(root / split / "a.txt", "0 0.5 0.5 0.2 0.2\n")
        make_text(root / split / "_darknet.labels", "cup\n")


def yolo_tree(root: Path) -> None:
    for split in ("train", "val"):
        make_image(root / "images" / split / "a.jpg", 64, 64)
        make_text(root / "labels" / split / "a.txt", "0 0.5 0.5 0.2 0.2\n")
    make_text(root / "classes.txt", "cup\n")


def darknet_tutorial(root: Path) -> None:
    """Paths start from Darknet's own folder, the one above ``data``."""
    lists = {"train": "train", "valid": "test"}
    for split in SPLITS:
        make_image(root / f"data/{split}/a.jpg", 64, 64)
        make_text(root / f"data/{split}/a.txt", "0 0.5 0.5 0.2 0.2\n")
        make_text(root / f"data/{lists[split]}.txt", f"data/{split}/a.jpg\n")
    make_text(root / "data/obj.names", "cup\n")
    text = "classes= 1\ntrain  = data/train.txt\nvalid  = data/test.txt\nnames = data/obj.names\n"
    make_text(root / "data/obj.data", text)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (roboflow_coco, "coco"),
        (official_coco, "coco"),
        (roboflow_voc, "voc"),
        (roboflow_csv, "csv"),
        (roboflow_darknet, "darknet"),
        (yolo_tree, "darknet"),
        (darknet_tutorial, "darknet"),
    ],
)
def test_layout(tmp_path: Path, make: Callable[[Path], None], name: str) -> None:
    """Two images of one name in two splits, each with its own file and box."""
    make(tmp_path)
    assert sniff(tmp_path) == name
    dataset = data.read(tmp_path)
    assert dataset.names == ("cup",)
    assert [(sample.split, len(sample)) for sample in dataset] == [("train", 1), ("val", 1)]
    assert len({sample.image for sample in dataset}) == 2
    assert all("val" in str(sample.image) for sample in dataset if sample.split == "val")


def test_data_file_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The .data file of a tutorial works from another working directory."""
    darknet_tutorial(tmp_path / "darknet")
    monkeypatch.chdir(tmp_path)
    assert len(data.read(tmp_path / "darknet/data/obj.data")) == 2


def test_given_names_need_no_files(tmp_path: Path) -> None:
    """Darknet's folder ``data`` has the names of several data sets beside the lists."""
    darknet_tutorial(tmp_path)
    make_text(tmp_path / "data/coco.names", "person\nbicycle\n")
    with pytest.raises(DataError, match="have different names"):
        data.read(tmp_path / "data/test.txt")
    (sample,) = data.read(tmp_path / "data/test.txt", names=["cup"])
    assert sample.boxes.tolist() == [[25.6, 25.6, 38.4, 38.4]]


def test_names_that_disagree(tmp_path: Path) -> None:
    """Splits with different names are no data set."""
    roboflow_darknet(tmp_path)
    make_text(tmp_path / "valid/_darknet.labels", "mug\n")
    with pytest.raises(DataError, match="have different names"):
        data.read(tmp_path)


@pytest.mark.parametrize(
    "name", ["darknet", "yolov5", "coco", "csv", "cvat", "labelme", "labelstudio", "kitti"]
)
def test_names_repeat_in_splits(tmp_path: Path, name: str) -> None:
    """A name that every split has stays two images, whatever the format."""
    samples = []
    for split, width in (("train", 100), ("val", 50)):
        image = make_image(tmp_path / split / "a.png", width, 40)
        samples.append(Sample(image, np.array([[0, 0, width, 20]]), np.array([0]), split=split))
    data.write(Dataset(samples, ["cup"]), tmp_path / "out", name)
    where = {"cvat": "annotations.xml", "labelstudio": "tasks.json"}.get(name, "")
    after = data.read(tmp_path / "out" / where)
    assert [(s.split, s.width, s.boxes[0, 2]) for s in after] == [("train", 100, 100), ("val", 50, 50)]
    assert not after.report.counts.get("size-mismatch")


def test_names_below_layout_folders(tmp_path: Path) -> None:
    """Folders of a layout are not part of an image's name: nothing is written into train/annotations."""
    make_image(tmp_path / "in/images/a.jpg", 64, 64)
    make_text(tmp_path / "in/annotations/a.xml", XML)
    dataset = data.read(tmp_path / "in")
    assert [sample.name for sample in dataset] == ["a.jpg"]
    data.write(dataset, tmp_path / "out")
    assert (tmp_path / "out/train/a.jpg").is_file()


def test_synset_ids_need_an_option(tmp_path: Path) -> None:
    """The error of a wrong class name gives the option that is missing."""
    with pytest.raises(DataError, match=r"no class 'n01440764'.*synset ids need --set class_names=wnid"):
        ClassPlan(keep=("n01440764",)).choose(("tench",), {}, {})


def test_a_list_with_two_roles(tmp_path: Path) -> None:
    """An image list that is both training and validation is read once, as training, and reported."""
    darknet_tutorial(tmp_path)
    (tmp_path / "data/obj.data").write_text(
        "classes=1\ntrain=data/train.txt\nvalid=data/train.txt\nnames=data/obj.names\n"
    )
    merged = ops.merge(data.read(tmp_path))
    assert [sample.split for sample in merged] == ["train"]
    assert "valid names the same list as another key" in str(merged.report)


def test_every_image_suffix_is_found(tmp_path: Path) -> None:
    """What the decoder reads is found in folders, whatever its ending."""
    for suffix in (".jfif", ".jpe", ".JPG", ".avif", ".pnm"):
        kind = {".jfif": ".jpg", ".jpe": ".jpg"}.get(suffix, suffix.lower())
        image = make_image(tmp_path / f"a{kind}", 64, 64)
        image.rename(tmp_path / f"image{suffix[1:]}{suffix}")
        make_text(tmp_path / f"image{suffix[1:]}.txt", "0 0.5 0.5 0.2 0.2\n")
    assert sorted(sample.image.suffix for sample in data.read(tmp_path)) == [
        ".JPG", ".avif", ".jfif", ".jpe", ".pnm",
    ]  # fmt: skip


def test_signed_class_number(tmp_path: Path) -> None:
    """``+0`` and ``0.0`` are class 0."""
    make_image(tmp_path / "a.png", 10, 10)
    make_text(tmp_path / "a.txt", "+0 0.5 0.5 0.2 0.2\r\n0.0 0.2 0.2 0.2 0.2\r\n")
    assert sniff(tmp_path) == "darknet"
    assert data.read(tmp_path)[0].classes.tolist() == [0, 0]
